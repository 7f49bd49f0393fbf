"""The decoder's head: hidden states to logits, computing rows of the vocabulary that are the same only once.

A model trained on part of Whisper's vocabulary gives all other tokens one and the same embedding. Its head, the dearest
part of a decoding step, then costs what its own vocabulary costs, to the bit with the same logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.layers.int8 import Int8Linear

LEAST_INT8 = 1_000_000
"""Numbers of a weight from which its product is faster in int8."""


class VocabularyHead:
    """Logits by the transposed embedding."""

    def __init__(self, weight: Tensor, *, int8: bool = False) -> None:
        """weight: the embedding, (vocab_size, d_model), must not change afterwards; int8: compute so if it pays."""
        self._weight = weight
        self._place: Tensor | None = None
        """Row of the distinct ones for each token, if few are distinct."""
        # Rows that are the same have the same product with any vector; comparing the products is cheap.
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(weight.shape[1], generator=generator, dtype=torch.float64).to(weight.device)
        products = torch.cat([part.double() @ probe for part in torch.split(weight, 8192)])
        distinct, place = torch.unique(products, return_inverse=True)
        if 2 * len(distinct) <= len(weight):
            self._reduce(len(distinct), place)
        pays = int8 and self._weight.numel() >= LEAST_INT8
        self._int8 = Int8Linear(self._weight, steps=True) if pays else None

    def _reduce(self, count: int, place: Tensor) -> None:
        """Keep one of the rows with the same product; place: (vocab_size,), which of the `count` products a row has."""
        weight = self._weight
        first = torch.full((count,), len(weight), device=weight.device)
        first.scatter_reduce_(0, place, torch.arange(len(weight), device=weight.device), "amin")
        if torch.equal(weight[first][place], weight):
            self._weight, self._place = weight[first].contiguous(), place

    @property
    def rows(self) -> int:
        """Rows that are computed."""
        return len(self._weight)

    def __call__(self, hidden: Tensor) -> Tensor:
        """(n, d_model) -> (n, vocab_size) float32."""
        logits = F.linear(hidden, self._weight).float() if self._int8 is None else self._int8(hidden)
        return logits if self._place is None else logits[:, self._place]
