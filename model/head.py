"""The decoder's head: hidden states to logits, computing rows of the vocabulary that are the same only once.

A model trained on part of Whisper's vocabulary gives all other tokens one and the same embedding. Its head, the dearest
part of a decoding step, then costs what its own vocabulary costs, to the bit with the same logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class VocabularyHead:
    """Logits by the transposed embedding."""

    def __init__(self, weight: Tensor) -> None:
        """weight: the embedding, (vocab_size, d_model); must not change afterwards."""
        self._weight = weight
        self._place: Tensor | None = None
        """Row of the distinct ones for each token, if few are distinct."""
        # Rows that are the same have the same product with any vector; comparing the products is cheap.
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(weight.shape[1], generator=generator, dtype=torch.float64).to(weight.device)
        products = torch.cat([part.double() @ probe for part in torch.split(weight, 8192)])
        distinct, place = torch.unique(products, return_inverse=True)
        if 2 * len(distinct) > len(weight):
            return
        first = torch.full((len(distinct),), len(weight), device=weight.device)
        first.scatter_reduce_(0, place, torch.arange(len(weight), device=weight.device), "amin")
        if torch.equal(weight[first][place], weight):
            self._weight, self._place = weight[first].contiguous(), place

    @property
    def rows(self) -> int:
        """Rows that are computed."""
        return len(self._weight)

    def __call__(self, hidden: Tensor) -> Tensor:
        """(n, d_model) -> (n, vocab_size) float32."""
        logits = F.linear(hidden, self._weight).float()
        return logits if self._place is None else logits[:, self._place]
