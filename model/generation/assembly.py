"""The processors and criteria that a configuration asks for, in the reference's order.

Source: transformers generation/utils.py, _get_logits_processor and _get_stopping_criteria.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from model.generation import constraints as c
from model.generation import warpers as w
from model.generation.processors import (
    LogitsProcessor,
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    merged,
)
from model.generation.stopping import (
    ConfidenceCriteria,
    Decoding,
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StoppingCriterion,
    StopStringCriteria,
)
from model.generation.tokens import token_ids
from model.generation_config import GenerationConfig

PrefixFunction = Callable[[int, Tensor], list[int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one search goes by."""

    config: GenerationConfig
    """Complete, see `prepare.prepared`."""
    processors: LogitsProcessorList
    criteria: StoppingCriteriaList

    @property
    def beams(self) -> int:
        """How many continuations of each input are kept."""
        return self.config.num_beams or 1


def processors_for(
    config: GenerationConfig,
    prompt_length: int,
    given: Iterable[LogitsProcessor] = (),
    prefix_allowed_tokens_fn: PrefixFunction | None = None,
) -> LogitsProcessorList:
    """Return what acts on scores: constraints, then the caller's, then what reshapes a distribution to draw from.

    config: complete, see `prepare.prepared`. One of the caller's goes in place of ours of the same class name.
    """
    own = [*_biases(config), *_limits(config, prompt_length, prefix_allowed_tokens_fn), *_forced(config, prompt_length)]
    chosen = LogitsProcessorList(merged(own, given))
    if config.do_sample:
        chosen += _warpers(config)
    if config.renormalize_logits:
        chosen.append(c.LogitNormalization())
    return chosen


def _biases(config: GenerationConfig) -> list[LogitsProcessor]:
    """Return what makes tokens more or less likely by what has come before."""
    chosen: list[LogitsProcessor] = []
    if config.sequence_bias is not None:
        chosen.append(c.SequenceBiasLogitsProcessor(config.sequence_bias))
    for name, neutral in (("encoder_repetition_penalty", 1.0), ("encoder_no_repeat_ngram_size", 0)):
        if getattr(config, name) not in (None, neutral):
            warnings.warn(f"{name} is ignored: it is about the tokens of the input, which is audio here", stacklevel=4)
    if config.repetition_penalty not in (None, 1.0):
        chosen.append(c.RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.no_repeat_ngram_size:
        chosen.append(c.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    if config.bad_words_ids is not None:
        chosen.append(c.NoBadWordsLogitsProcessor(config.bad_words_ids, config.eos_token_id))
    return chosen


def _limits(config: GenerationConfig, prompt_length: int, allowed: PrefixFunction | None) -> list[LogitsProcessor]:
    """Return what says how short a sequence may be, and what of all tokens may follow."""
    chosen: list[LogitsProcessor] = []
    if config.eos_token_id is not None and config.min_length:
        chosen.append(c.MinLengthLogitsProcessor(config.min_length, config.eos_token_id))
    if config.eos_token_id is not None and config.min_new_tokens:
        chosen.append(c.MinNewTokensLengthLogitsProcessor(prompt_length, config.min_new_tokens, config.eos_token_id))
    if allowed is not None:
        chosen.append(c.PrefixConstrainedLogitsProcessor(allowed, config.num_beams or 1))
    return chosen


def _forced(config: GenerationConfig, prompt_length: int) -> list[LogitsProcessor]:
    """Return what forces or forbids tokens by their place."""
    chosen: list[LogitsProcessor] = []
    if config.forced_bos_token_id is not None:
        chosen.append(c.ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id))
    if config.forced_eos_token_id is not None and config.max_length is not None:
        chosen.append(c.ForcedEOSTokenLogitsProcessor(config.max_length, config.forced_eos_token_id))
    if config.remove_invalid_values:
        chosen.append(c.InfNanRemoveLogitsProcessor())
    if config.exponential_decay_length_penalty is not None and config.eos_token_id is not None:
        chosen.append(
            c.ExponentialDecayLengthPenalty(config.exponential_decay_length_penalty, config.eos_token_id, prompt_length)
        )
    if config.suppress_tokens is not None:
        chosen.append(SuppressTokensLogitsProcessor(config.suppress_tokens))
    if config.begin_suppress_tokens is not None:
        # A forced first token is not the first that is chosen.
        forced = prompt_length == 1 and config.forced_bos_token_id is not None
        chosen.append(SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, prompt_length + forced))
    return chosen


def _warpers(config: GenerationConfig) -> list[LogitsProcessor]:
    """Return what reshapes and cuts the distribution before a token is drawn."""
    # Beams need something to go on with if all ends are drawn.
    ends = 1 if config.eos_token_id is None else len(token_ids(config.eos_token_id))
    keep = ends + 1 if (config.num_beams or 1) > 1 else 1
    chosen: list[LogitsProcessor] = []
    if config.temperature is not None and config.temperature != 1.0:
        chosen.append(w.TemperatureLogitsWarper(config.temperature))
    if config.top_h is not None:
        chosen.append(w.TopHLogitsWarper(config.top_h))
    if config.top_k:
        chosen.append(w.TopKLogitsWarper(config.top_k, min_tokens_to_keep=keep))
    if config.top_p is not None and config.top_p < 1.0:
        chosen.append(w.TopPLogitsWarper(config.top_p, min_tokens_to_keep=keep))
    if config.min_p is not None:
        chosen.append(w.MinPLogitsWarper(config.min_p, min_tokens_to_keep=keep))
    if config.typical_p is not None and config.typical_p < 1.0:
        chosen.append(w.TypicalLogitsWarper(config.typical_p, min_tokens_to_keep=keep))
    if config.epsilon_cutoff is not None and 0.0 < config.epsilon_cutoff < 1.0:
        chosen.append(w.EpsilonLogitsWarper(config.epsilon_cutoff, min_tokens_to_keep=keep))
    if config.eta_cutoff is not None and 0.0 < config.eta_cutoff < 1.0:
        chosen.append(w.EtaLogitsWarper(config.eta_cutoff, min_tokens_to_keep=keep))
    return chosen


def criteria_for(
    config: GenerationConfig, given: Iterable[StoppingCriterion] = (), tokenizer: Decoding | None = None
) -> StoppingCriteriaList:
    """Return what ends rows: length, time, texts, the end of text, an unsure assistant; then the caller's.

    Raises ValueError for stop strings without a tokenizer.
    """
    own: list[StoppingCriterion] = []
    if config.max_length is not None:
        own.append(MaxLengthCriteria(config.max_length))
    if config.max_time is not None:
        own.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise ValueError("stop_strings need the tokenizer: pass generate() the argument `tokenizer`")
        own.append(StopStringCriteria(tokenizer, config.stop_strings))
    if config.eos_token_id is not None:
        own.append(EosTokenCriteria(config.eos_token_id))
    if config.is_assistant and config.assistant_confidence_threshold:
        own.append(ConfidenceCriteria(config.assistant_confidence_threshold))
    return StoppingCriteriaList(merged(own, given))
