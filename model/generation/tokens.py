"""Sets of tokens, as masks over the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def token_ids(value: int | Iterable[int] | Tensor) -> tuple[int, ...]:
    """Return one token, or several, as a tuple. Raises ValueError for what is no whole number."""
    if isinstance(value, Tensor):
        value = value.reshape(-1).tolist()
    tokens = (value,) if isinstance(value, int) else tuple(value)
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool):
            raise ValueError(f"a token id must be a whole number, got {token!r}")  # noqa: TRY004  # as any bad value
    return tokens


class TokenSet:
    """Some tokens; those that a vocabulary does not have are left out of its mask."""

    def __init__(self, tokens: int | Iterable[int] | Tensor) -> None:
        """tokens: ids, in any order."""
        self.tokens = token_ids(tokens)
        self._mask: Tensor | None = None

    def mask(self, scores: Tensor) -> Tensor:
        """Return (vocab_size,) bool for scores (..., vocab_size): True for the tokens of the set."""
        size = scores.shape[-1]
        if self._mask is None or self._mask.shape[0] != size or self._mask.device != scores.device:
            mask = torch.zeros(size, dtype=torch.bool)
            mask[[token for token in self.tokens if 0 <= token < size]] = True
            self._mask = mask.to(scores.device)
        return self._mask

    def forbid(self, scores: Tensor) -> Tensor:
        """Return scores with those of the set at -inf."""
        return scores.masked_fill(self.mask(scores), -torch.inf)
