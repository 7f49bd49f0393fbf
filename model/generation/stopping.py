"""When rows end: callables (input_ids, scores) -> whether each row ends, (rows,) bool or one bool for all.

ids are (rows, length) with the prompt and the newest token; scores those of every step so far, or None where they are
not kept. Names are those of transformers generation/stopping_criteria.py, the source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from model.generation.tokens import token_ids

StoppingCriterion = Callable[[Tensor, Any], Tensor | bool]


class StoppingCriteriaList(list[StoppingCriterion]):
    """Criteria of which any one ends a row; itself a criterion."""

    def __call__(self, input_ids: Tensor, scores: Any) -> Tensor:
        """Return (rows,) bool."""
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for criterion in self:
            done = done | criterion(input_ids, scores)
        return done

    @property
    def ends_rows(self) -> bool:
        """Whether rows end by a token of their own, so that what follows it is padding."""
        return any(hasattr(criterion, "eos_token_id") for criterion in self)


class MaxLengthCriteria:
    """End every row at a length."""

    def __init__(self, max_length: int) -> None:
        """max_length: tokens, the prompt included."""
        self.max_length = max_length

    def __call__(self, input_ids: Tensor, scores: Any) -> bool:  # noqa: ARG002  # a criterion's signature
        """Compare."""
        return input_ids.shape[1] >= self.max_length


class MaxTimeCriteria:
    """End every row after a time."""

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        """max_time: seconds from now, or from `initial_timestamp` of `time.time`."""
        self.max_time = max_time
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: Any) -> bool:  # noqa: ARG002  # a criterion's signature
        """Compare."""
        return time.time() - self.initial_timestamp > self.max_time


class EosTokenCriteria:
    """End a row at its end of text."""

    def __init__(self, eos_token_id: int | Iterable[int] | Tensor) -> None:
        """eos_token_id: one token or several."""
        self.eos_token_id = torch.tensor(token_ids(eos_token_id))

    def __call__(self, input_ids: Tensor, scores: Any) -> Tensor:  # noqa: ARG002  # a criterion's signature
        """Compare the newest token."""
        self.eos_token_id = self.eos_token_id.to(input_ids.device)
        return torch.isin(input_ids[:, -1], self.eos_token_id)


class ConfidenceCriteria:
    """End a draft at a token its network is not sure of."""

    def __init__(self, assistant_confidence_threshold: float) -> None:
        """assistant_confidence_threshold: least probability."""
        self.assistant_confidence_threshold = assistant_confidence_threshold

    def __call__(self, input_ids: Tensor, scores: Any) -> bool:
        """Compare the probability of the newest token."""
        probability = scores[-1][0].softmax(dim=-1)[input_ids[0, -1]]
        return bool(probability < self.assistant_confidence_threshold)


class Decoding(Protocol):
    """What of a tokenizer the texts are read with."""

    def decode(self, token_ids: Any) -> Any:
        """Return the text of tokens."""


class StopStringCriteria:
    """End a row when its newest token completes one of some texts."""

    def __init__(self, tokenizer: Decoding, stop_strings: str | Sequence[str]) -> None:
        """stop_strings: texts; the rest of the token that completes one may be anything."""
        self.stop_strings = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
        if not self.stop_strings or not all(self.stop_strings):
            raise ValueError(f"stop_strings must be texts of at least one letter, got {stop_strings!r}")
        self._tokenizer = tokenizer
        self._longest = max(map(len, self.stop_strings))

    def __call__(self, input_ids: Tensor, scores: Any) -> Tensor:  # noqa: ARG002  # a criterion's signature
        """Search the end of each row's text; a text longer than a letter a token cannot reach further back."""
        rows: list[list[int]] = input_ids[:, -self._longest :].tolist()
        return torch.tensor([self._completes(row) for row in rows], device=input_ids.device)

    def _completes(self, tokens: list[int]) -> bool:
        """Say whether a text that was not there before the last token is there now, or ends with it."""
        pieces = [str(self._tokenizer.decode([token])) for token in tokens]
        text, newest = "".join(pieces), len(pieces[-1])
        # Only what reaches into the newest token counts.
        return any(stop in text[max(0, len(text) - newest - len(stop) + 1) :] for stop in self.stop_strings)
