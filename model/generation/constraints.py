"""What a configuration can forbid or force: processors for any network. Names and source as in `processors.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.generation.tokens import TokenSet, token_ids


class MinLengthLogitsProcessor:
    """No end of text before the sequence has a length."""

    def __init__(self, min_length: int, eos_token_id: int | Iterable[int] | Tensor) -> None:
        """min_length: tokens, the prompt included."""
        self.min_length = min_length
        self.eos_token_id = TokenSet(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid the end while the sequence is shorter."""
        return self.eos_token_id.forbid(scores) if input_ids.shape[1] < self.min_length else scores


class MinNewTokensLengthLogitsProcessor:
    """No end of text before some tokens have come after the prompt."""

    def __init__(
        self, prompt_length_to_skip: int, min_new_tokens: int, eos_token_id: int | Iterable[int] | Tensor
    ) -> None:
        """prompt_length_to_skip: tokens of the prompt."""
        self.prompt_length_to_skip = prompt_length_to_skip
        self.min_new_tokens = min_new_tokens
        self.eos_token_id = TokenSet(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid the end while there are fewer."""
        new = input_ids.shape[1] - self.prompt_length_to_skip
        return self.eos_token_id.forbid(scores) if new < self.min_new_tokens else scores


class RepetitionPenaltyLogitsProcessor:
    """Make every token that has come less likely. Source: Keskar et al. 2019, section 4.1."""

    def __init__(self, penalty: float) -> None:
        """penalty: above 0; above 1 discourages, below 1 encourages."""
        if not penalty > 0:
            raise ValueError(f"repetition_penalty must be above 0, got {penalty}")
        self.penalty = penalty

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Push the scores of the tokens in each row towards minus infinity."""
        seen = scores.gather(1, input_ids)
        return scores.scatter(1, input_ids, torch.where(seen < 0, seen * self.penalty, seen / self.penalty))


class NoRepeatNGramLogitsProcessor:
    """Let no sequence of n tokens come twice."""

    def __init__(self, ngram_size: int) -> None:
        """ngram_size: at least 1."""
        if not isinstance(ngram_size, int) or ngram_size < 1:
            raise ValueError(f"no_repeat_ngram_size must be at least 1, got {ngram_size!r}")
        self.ngram_size = ngram_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid, row by row, what followed the last n - 1 tokens before."""
        n, length = self.ngram_size, input_ids.shape[1]
        if length + 1 < n:
            return scores
        allowed = scores.clone()
        rows: list[list[int]] = input_ids.tolist()
        for place, row in enumerate(rows):
            last = row[length + 1 - n :]
            ends = [row[i + n - 1] for i in range(length - n + 1) if row[i : i + n - 1] == last]
            allowed[place, ends] = -torch.inf
        return allowed


class SequenceBiasLogitsProcessor:
    """Add to the score of a token that completes a sequence."""

    def __init__(self, sequence_bias: Mapping[tuple[int, ...], float] | Sequence[Sequence[Any]]) -> None:
        """sequence_bias: sequences and what to add, as a mapping or as pairs."""
        pairs = sequence_bias.items() if isinstance(sequence_bias, Mapping) else sequence_bias
        if not pairs:
            raise ValueError("sequence_bias must hold at least one sequence")
        self.sequence_bias: dict[tuple[int, ...], float] = {}
        for tokens, bias in pairs:
            if not tokens or min(token_ids(tokens)) < 0:
                raise ValueError(f"sequence_bias must have sequences of token ids, got {tokens!r}")
            self.sequence_bias[token_ids(tokens)] = float(bias)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Add each bias in the rows that end with all but the last token of its sequence."""
        size = scores.shape[1]
        bias = torch.zeros_like(scores)
        for tokens, amount in self.sequence_bias.items():
            if max(tokens) >= size:
                raise ValueError(f"sequence_bias must have tokens below {size}, got {max(tokens)}")
            before = len(tokens) - 1
            if before >= input_ids.shape[1]:
                continue
            wanted = torch.tensor(tokens[:-1], dtype=input_ids.dtype, device=input_ids.device)
            matches = (input_ids[:, input_ids.shape[1] - before :] == wanted).all(dim=1)
            bias[matches, tokens[-1]] += amount
        return scores + bias


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Let some sequences never be completed; the end of text alone is none."""

    def __init__(
        self, bad_words_ids: list[list[int]], eos_token_id: int | Iterable[int] | Tensor | None = None
    ) -> None:
        """bad_words_ids: sequences of token ids, at least one."""
        if not isinstance(bad_words_ids, list) or not bad_words_ids:
            raise ValueError(f"bad_words_ids must be a list of at least one sequence, got {bad_words_ids!r}")
        for tokens in bad_words_ids:
            if not isinstance(tokens, list) or not tokens or min(token_ids(tokens)) < 0:
                raise ValueError(f"bad_words_ids must have lists of token ids, got {tokens!r}")
        ends = [] if eos_token_id is None else [[token] for token in token_ids(eos_token_id)]
        self.sequence_bias = {tuple(tokens): -torch.inf for tokens in bad_words_ids if tokens not in ends}


class PrefixConstrainedLogitsProcessor:
    """Let a function of each row's tokens say which may follow."""

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]], num_beams: int) -> None:
        """prefix_allowed_tokens_fn: (place in the batch, tokens) -> what may follow; num_beams: rows each."""
        self._allowed = prefix_allowed_tokens_fn
        self._num_beams = num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid all others. Raises ValueError if a row may not go on at all."""
        mask = torch.full_like(scores, -torch.inf)
        for row, tokens in enumerate(input_ids):
            place = row // self._num_beams
            allowed = self._allowed(place, tokens)
            if len(allowed) == 0:
                raise ValueError(f"prefix_allowed_tokens_fn must allow at least one token, got none for batch {place}")
            mask[row, allowed] = 0
        return scores + mask


class ForcedBOSTokenLogitsProcessor:
    """Force the token after a prompt of one."""

    def __init__(self, bos_token_id: int) -> None:
        """bos_token_id: what comes first."""
        self.bos_token_id = bos_token_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid all others in that place."""
        return only(scores, [self.bos_token_id]) if input_ids.shape[1] == 1 else scores


class ForcedEOSTokenLogitsProcessor:
    """Force the end of text as the last token there is room for."""

    def __init__(self, max_length: int, eos_token_id: int | Iterable[int] | Tensor) -> None:
        """max_length: tokens of the whole sequence."""
        self.max_length = max_length
        self.eos_token_id = token_ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid all others in that place."""
        return only(scores, self.eos_token_id) if input_ids.shape[1] == self.max_length - 1 else scores


class InfNanRemoveLogitsProcessor:
    """Make every score a finite number."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Replace nan by 0 and infinities by the largest numbers of the type."""
        return scores.nan_to_num(nan=0.0)


class ExponentialDecayLengthPenalty:
    """Make the end of text likelier and likelier from some length on."""

    def __init__(
        self,
        exponential_decay_length_penalty: Sequence[float],
        eos_token_id: int | Iterable[int] | Tensor,
        input_ids_seq_length: int,
    ) -> None:
        """exponential_decay_length_penalty: (new tokens before it starts, factor of each further one)."""
        start, self.regulation_factor = exponential_decay_length_penalty
        self.regulation_start = start + input_ids_seq_length
        self.eos_token_id = list(token_ids(eos_token_id))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Raise the score of the end by its own size, times what the length asks for."""
        beyond = input_ids.shape[1] - self.regulation_start
        if beyond <= 0:
            return scores
        raised = scores.clone()
        raised[:, self.eos_token_id] += scores[:, self.eos_token_id].abs() * (self.regulation_factor**beyond - 1)
        return raised


class LogitNormalization:
    """Make scores log-probabilities."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # a processor's signature
        """Apply log-softmax."""
        return scores.log_softmax(dim=-1)


def only(scores: Tensor, tokens: Sequence[int]) -> Tensor:
    """Return scores that leave no choice but these tokens."""
    forced = torch.full_like(scores, -torch.inf)
    forced[:, list(tokens)] = 0
    return forced
