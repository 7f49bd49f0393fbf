"""What a generation configuration may say: what cannot be is an error, what has no effect is pointed out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from model.generation.fields import GenerationFields

STATIC_CACHES = ("static", "hybrid", "sliding_window", "hybrid_chunked")
"""All but the first are older names."""
CACHES = ("dynamic", "dynamic_full", "offloaded", "offloaded_static", "quantized", "paged", *STATIC_CACHES)
SCHEDULES = ("constant", "heuristic", "heuristic_transient")

GENERATE_ARGUMENTS = (
    "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus", "assistant_model", "streamer",
    "negative_prompt_ids", "negative_prompt_attention_mask",
)  # fmt: skip
"""Arguments of `generate` that are no fields."""
EXTRA_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")

SAMPLING_ONLY = {
    "temperature": 1.0, "top_p": 1.0, "min_p": None, "top_h": None, "typical_p": 1.0, "top_k": 50,
    "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
}  # fmt: skip
"""Fields that only sampling reads, and the value that changes nothing."""
BEAMS_ONLY = {"early_stopping": False, "length_penalty": 1.0}


def check(config: GenerationFields) -> None:
    """Raise ValueError for a value or combination that no generation can honour."""
    _check_counts(config)
    if (
        not any(config.early_stopping is allowed for allowed in (None, True, False))
        and config.early_stopping != "never"
    ):
        raise ValueError(f"early_stopping must be True, False or 'never', got {config.early_stopping!r}")
    if config.cache_implementation is not None and config.cache_implementation not in CACHES:
        raise ValueError(
            f"cache_implementation must be one of {', '.join(CACHES)}, got {config.cache_implementation!r}"
        )
    if config.num_assistant_tokens_schedule not in (None, *SCHEDULES):
        allowed = ", ".join(SCHEDULES)
        raise ValueError(
            f"num_assistant_tokens_schedule must be one of {allowed}, got {config.num_assistant_tokens_schedule!r}"
        )
    if config.do_sample and isinstance(config.temperature, (int, float)) and config.temperature <= 0:
        raise ValueError(
            f"temperature must be above 0 when sampling, got {config.temperature}; for greedy decoding set "
            "do_sample=False"
        )
    for name in GENERATE_ARGUMENTS:
        if hasattr(config, name):
            raise ValueError(f"{name} is an argument of generate(), not a field of its configuration")


def _check_counts(config: GenerationFields) -> None:
    """Refuse counts below the least that makes sense, and more sequences than the search finds."""
    for name in ("max_new_tokens", "max_length", "num_beams", "num_return_sequences"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    for name in ("min_length", "min_new_tokens", "no_repeat_ngram_size", "top_k"):
        value = getattr(config, name)
        if value is not None and value < 0:
            raise ValueError(f"{name} must be at least 0, got {value}")
    wanted, beams = config.num_return_sequences or 1, config.num_beams or 1
    if wanted > 1 and beams == 1 and not config.do_sample:
        raise ValueError(
            f"num_return_sequences must be 1 for greedy decoding, which finds one sequence, got {wanted}; "
            "set do_sample=True or num_beams"
        )
    if beams > 1 and wanted > beams:
        raise ValueError(f"num_return_sequences must be at most num_beams, {beams}, got {wanted}")


def without_effect(config: GenerationFields) -> Iterator[str]:
    """Yield a sentence about each field that is set and will not be read, or will do harm."""
    if isinstance(config.pad_token_id, int) and config.pad_token_id < 0:
        yield f"pad_token_id should be a token, got {config.pad_token_id}: rows that end early cannot be filled"
    if config.do_sample is not True:
        yield from _unread(config, SAMPLING_ONLY, "do_sample=True")
    if (config.num_beams or 1) == 1:
        yield from _unread(config, BEAMS_ONLY, "num_beams above 1")
    if config.use_cache is False:
        yield from _unread(config, {"cache_implementation": None, "cache_config": None}, "use_cache=True")
    if config.return_dict_in_generate is not True:
        yield from _unread(config, dict.fromkeys(EXTRA_OUTPUTS, False), "return_dict_in_generate=True")


def _unread(config: GenerationFields, neutral: dict[str, Any], condition: str) -> Iterator[str]:
    """Yield the fields of `neutral` that are set to something else."""
    for name, nothing in neutral.items():
        value = getattr(config, name)
        if value is not None and value != nothing:
            yield f"{name} is set to {value!r}, which is read only with {condition}"


UNSUPPORTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "guidance_scale": ((1, 1.0), "it needs a prompt of text without audio, which Whisper has not learned"),
    "watermarking_config": ((), "transcripts are not watermarked"),
    "token_healing": ((False,), "prompts are tokens here, not text"),
    "penalty_alpha": ((0, 0.0), "contrastive search is not part of the reference any more"),
    "dola_layers": ((), "DoLa decoding is not part of the reference any more"),
    "num_beam_groups": ((1,), "group beam search is not part of the reference any more"),
    "diversity_penalty": ((0, 0.0), "group beam search is not part of the reference any more"),
    "constraints": ((), "constrained beam search is not part of the reference any more"),
    "force_words_ids": ((), "constrained beam search is not part of the reference any more"),
    "low_memory": ((False,), "the reference refuses it as well"),
    "assistant_early_exit": ((), "Whisper's inner layers cannot be read by its head"),
    "compile_config": ((), "the decoder is not compiled"),
    "continuous_batching_config": ((), "a batch is decoded as one"),
}
"""Field: (values that ask for nothing besides None, why it is refused)."""


def refuse_unsupported(config: GenerationFields) -> None:
    """Raise ValueError for what belongs to other machinery than a search over one batch of audio."""
    for name, (neutral, reason) in UNSUPPORTED.items():
        value = getattr(config, name)
        if value is not None and value not in neutral:
            raise ValueError(f"{name} cannot be used, got {value!r}: {reason}")
    if config.cache_implementation not in (None, "dynamic", "dynamic_full", *STATIC_CACHES):
        raise ValueError(
            f"cache_implementation must be 'dynamic' or 'static', got {config.cache_implementation!r}: the cache "
            "stays as it is on the network's device"
        )
