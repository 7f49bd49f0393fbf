"""Dropout that costs nothing where nothing is dropped."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def dropout(x: Tensor, share: float, *, training: bool) -> Tensor:
    """Drop a share of the elements in training. A decoding step would notice the calls that return what they are given.

    Source: Srivastava et al. 2014.
    """
    return F.dropout(x, p=share) if training and share else x
