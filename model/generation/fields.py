"""What can be asked of generation, field by field; names are those of `generation_config.json`.

Every field is None until it is set: then what `GenerationConfig.defaults` says holds, so that a field of a call, of the
caller's configuration and of the checkpoint can be told apart. Source: transformers generation/configuration_utils.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class GenerationFields:
    """Fields of any generation."""

    max_length: int | None
    """Tokens of a whole sequence, prompt included; None with no max_new_tokens either: the prompt and 20 more."""
    max_new_tokens: int | None
    """Tokens after the prompt; goes before max_length."""
    min_length: int | None
    """No end of text before the sequence has this length."""
    min_new_tokens: int | None
    """No end of text before so many tokens after the prompt."""
    early_stopping: bool | str | None
    """When beams are done: True, with num_beams ends; False, when better ones are unlikely; "never", impossible."""
    max_time: float | None
    """Seconds after which the step under way is the last."""
    stop_strings: str | Sequence[str] | None
    """Texts that end a row; the search needs the tokenizer then."""
    do_sample: bool | None
    num_beams: int | None
    use_cache: bool | None
    cache_implementation: str | None
    """ "dynamic" or "static"; ours is one cache that serves for both."""
    cache_config: Mapping[str, Any] | None
    temperature: float | None
    top_k: int | None
    """Tokens kept for sampling; 0 for all."""
    top_p: float | None
    """Keep the likeliest tokens whose mass is this."""
    min_p: float | None
    """Keep tokens of at least this share of the likeliest one's probability."""
    top_h: float | None
    """Keep the likeliest tokens that hold this share of the entropy."""
    typical_p: float | None
    """Keep the most typical tokens whose mass is this."""
    epsilon_cutoff: float | None
    """Least probability to be sampled."""
    eta_cutoff: float | None
    """As epsilon_cutoff, lower where the distribution is flat."""
    repetition_penalty: float | None
    encoder_repetition_penalty: float | None
    """For encoders that read tokens; Whisper's does not, and it is left out with a warning."""
    length_penalty: float | None
    """Exponent of the length by which a beam's score is divided."""
    no_repeat_ngram_size: int | None
    bad_words_ids: list[list[int]] | None
    """Token sequences that never come."""
    renormalize_logits: bool | None
    """Make scores log-probabilities again after every processor."""
    forced_bos_token_id: int | None
    forced_eos_token_id: int | list[int] | None
    """The last token when max_length is reached."""
    remove_invalid_values: bool | None
    """Replace nan and inf."""
    exponential_decay_length_penalty: tuple[int, float] | None
    """(start, factor): from `start` new tokens on the end becomes likelier by this factor."""
    suppress_tokens: Sequence[int] | None
    """Never produced."""
    begin_suppress_tokens: Sequence[int] | None
    """Not produced first."""
    sequence_bias: Mapping[tuple[int, ...], float] | list[list[Any]] | None
    """What is added to the score of a token that completes a sequence."""
    token_healing: bool | None
    guidance_scale: float | None
    watermarking_config: Any
    num_return_sequences: int | None
    output_attentions: bool | None
    output_hidden_states: bool | None
    output_scores: bool | None
    output_logits: bool | None
    return_dict_in_generate: bool | None
    pad_token_id: int | None
    """Fills rows that ended before others; the first eos_token_id if None."""
    bos_token_id: int | None
    eos_token_id: int | list[int] | None
    encoder_no_repeat_ngram_size: int | None
    """As encoder_repetition_penalty."""
    decoder_start_token_id: int | None
    is_assistant: bool | None
    """Whether the network drafts for another one."""
    num_assistant_tokens: int | None
    """Most tokens of one draft; read from the assistant's configuration."""
    num_assistant_tokens_schedule: str | None
    """How that changes: "constant", "heuristic" (kept by the assistant), "heuristic_transient"."""
    assistant_confidence_threshold: float | None
    """A draft ends at a token less likely than this."""
    prompt_lookup_num_tokens: int | None
    """Draft so many tokens from what followed the same words before, without an assistant."""
    max_matching_ngram_size: int | None
    """Longest match for prompt_lookup_num_tokens; 2 if None."""
    assistant_early_exit: int | None
    assistant_lookbehind: int | None
    target_lookbehind: int | None
    compile_config: Any
    disable_compile: bool | None
    continuous_batching_config: Any
    low_memory: bool | None
    penalty_alpha: float | None
    dola_layers: Any
    diversity_penalty: float | None
    num_beam_groups: int | None
    constraints: Any
    force_words_ids: Any
    prefill_chunk_size: int | None
    """Tokens of the prompt read at a time; results do not depend on it, and ours reads them all."""


class WhisperFields:
    """Fields of Whisper's file; one that neither the file nor the caller gave is not an attribute."""

    no_timestamps_token_id: int
    prev_sot_token_id: int
    alignment_heads: Sequence[tuple[int, int]]
    """(layer, head) of the decoder's cross-attention that follow the audio."""
    max_initial_timestamp_index: int | None
    """Latest first timestamp, in steps of 20 ms; None for any."""
    is_multilingual: bool
    lang_to_id: Mapping[str, int]
    """Token such as `<|en|>` to its id; empty for an English-only model."""
    task_to_id: Mapping[str, int]
    return_timestamps: bool
