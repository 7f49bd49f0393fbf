"""Whisper's own rules for the next token, as processors of scores.

A processor is any callable (input_ids, scores) -> scores: ids (rows, length) with the prompt, scores (rows, vocab_size)
for the next token, logits in sampling and greedy search, log-probabilities in beam search. It returns new scores and
leaves those given as they are. Names are those of transformers generation/logits_process.py, the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from model.generation.tokens import TokenSet, token_ids
from model.rules import Limits, LogitRules

LogitsProcessor = Callable[[Tensor, Tensor], Tensor]


class LogitsProcessorList(list[LogitsProcessor]):
    """Processors that act one after the other, themselves one processor."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Apply each to what the one before left."""
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


def merged(own: Sequence[Any], given: Iterable[Any]) -> list[Any]:
    """Join what the configuration asks for with what the caller brings, whose objects replace those of their class.

    Class names decide, so that a processor of transformers replaces ours of that name.
    """
    given = list(given)
    by_class = {type(item).__name__: item for item in reversed(given)}
    chosen = [by_class.get(type(item).__name__, item) for item in own]
    return chosen + [item for item in given if not any(item is other for other in chosen)]


class SuppressTokensLogitsProcessor:
    """Never produce these tokens."""

    def __init__(self, suppress_tokens: Iterable[int]) -> None:
        """suppress_tokens: ids; those beyond the vocabulary are ignored."""
        self.suppress_tokens = TokenSet(suppress_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Forbid them."""
        return self.suppress_tokens.forbid(scores)


class SuppressTokensAtBeginLogitsProcessor:
    """Do not produce these tokens first."""

    def __init__(self, begin_suppress_tokens: Iterable[int], begin_index: int) -> None:
        """begin_index: place of the first token after the prompt."""
        self.begin_suppress_tokens = TokenSet(begin_suppress_tokens)
        self.begin_index = begin_index

    def set_begin_index(self, begin_index: int) -> None:
        """Say where the first token comes with the next prompt."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid them in the first place."""
        return self.begin_suppress_tokens.forbid(scores) if input_ids.shape[1] == self.begin_index else scores


class WhisperTimeStampLogitsProcessor:
    """Timestamps come in pairs, never go back, start soon, and come when all of them together are likelier than text.

    The rules are those of `model.rules.LogitRules`, which the streaming recognizer decodes with.
    """

    def __init__(
        self, generate_config: Any, begin_index: int, _detect_timestamp_from_logprob: bool | None = None
    ) -> None:
        """generate_config: its no_timestamps_token_id, eos_token_id and max_initial_timestamp_index are read.

        begin_index: place of the first token after the prompt; _detect_timestamp_from_logprob: whether to weigh all
        timestamps against text, None for what the configuration says, yes if it does not.
        """
        config = generate_config
        if getattr(config, "no_timestamps_token_id", None) is None:
            raise ValueError("timestamps need no_timestamps_token_id in the generation configuration, which has none")
        eos = token_ids(config.eos_token_id if config.eos_token_id is not None else config.bos_token_id)
        if len(eos) != 1:
            raise ValueError(f"timestamps need one eos_token_id, got {eos}")
        self.eos_token_id = eos[0]
        self.no_timestamps_token_id: int = config.no_timestamps_token_id
        self.timestamp_begin = self.no_timestamps_token_id + 1
        self.max_initial_timestamp_index: int | None = getattr(config, "max_initial_timestamp_index", None)
        self.begin_index = begin_index
        weigh = _detect_timestamp_from_logprob
        self._weigh: bool = getattr(config, "_detect_timestamp_from_logprob", True) if weigh is None else weigh
        self._rules: LogitRules | None = None
        self._made_for: tuple[int, torch.device] | None = None

    def set_begin_index(self, begin_index: int) -> None:
        """Say where the first token comes with the next prompt."""
        self.begin_index = begin_index

    def _rules_for(self, scores: Tensor) -> LogitRules:
        """Return the rules for a vocabulary of the size, and on the device, of these scores."""
        if self._rules is None or self._made_for != (scores.shape[1], scores.device):
            self._made_for = scores.shape[1], scores.device
            self._rules = LogitRules(
                vocab_size=scores.shape[1],
                eot=self.eos_token_id,
                no_timestamps=self.no_timestamps_token_id,
                max_initial_timestamp=self.max_initial_timestamp_index,
                device=scores.device,
            )
        return self._rules

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid what the rules forbid."""
        rules = self._rules_for(scores)
        if input_ids.shape[1] < self.begin_index:
            # Before the start there are no rules but that this token is none of the text.
            limits = [Limits(first=False, text=True, earliest=0, latest=scores.shape[1])] * len(scores)
        else:
            decoded: list[list[int]] = input_ids[:, self.begin_index :].tolist()
            limits = [rules.limits(row, len(row))[0] for row in decoded]
        allowed = scores.clone()
        if self._weigh:
            return rules.apply(allowed, limits)
        rules.restrict(allowed, limits)
        return allowed


class WhisperNoSpeechDetection:
    """Read how likely the network held the window for silence; scores pass unchanged.

    The token's probability belongs to the place after <|startoftranscript|>. The search hands over the logits of the
    whole prompt, so that no second pass is needed.
    """

    def __init__(self, no_speech_token: int, begin_index: int, scores_is_logprobs: bool = False) -> None:
        """begin_index: tokens of the prompt from <|startoftranscript|> on; what comes before is text of the past.

        scores_is_logprobs: kept for the reference's sake; logits of the prompt are never log-probabilities.
        """
        self.no_speech_token = no_speech_token
        self.start_of_trans_offset = begin_index
        self.begin_index = begin_index
        self.is_scores_logprobs = scores_is_logprobs
        self._no_speech_prob: Tensor | None = None

    @property
    def no_speech_prob(self) -> Tensor | list[float]:
        """(batch,) probability of silence, of the latest search; [0.0] before the first."""
        return [0.0] if self._no_speech_prob is None else self._no_speech_prob

    def set_begin_index(self, begin_index: int) -> None:
        """Say how long the next prompt is, past text included."""
        self.begin_index = begin_index

    def read_prompt(self, logits: Tensor) -> None:
        """Take the logits of a prompt, (batch, length, vocab_size), one row per input."""
        # Counted from the end, so that it holds too when the first cells of the prompt were read before.
        place = logits.shape[1] - self.start_of_trans_offset
        if place < 0:
            raise ValueError(
                f"no-speech detection needs the logits of the last {self.start_of_trans_offset} tokens of the prompt, "
                f"got {logits.shape[1]}"
            )
        self._no_speech_prob = logits[:, place].float().softmax(dim=-1)[:, self.no_speech_token]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Return scores as they are."""
        return scores


def read_prompt(processors: Iterable[Any], logits: Tensor) -> None:
    """Hand the logits of a prompt to those processors that read them."""
    with torch.no_grad():
        for processor in processors:
            if isinstance(processor, WhisperNoSpeechDetection):
                processor.read_prompt(logits)
