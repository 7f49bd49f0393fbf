"""Which cells a query of the decoder may see, as the reference decides it.

Source: transformers `create_causal_mask`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def text_mask(
    x: Tensor, start: int, attention_mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor | None, bool]:
    """Return a mask and whether attention is simply causal; neither if every query may see every cell.

    x: what is fed, (batch, n, d_model), after `start` cells. attention_mask: (batch, start + n), 0 where a cell is
    padding; or (batch, 1 or heads, n, start + n), bool or added to the scores, which is taken as it is.
    positions: (batch or 1, n), only of a pass without cache; a row that does not count on by one begins another text
    there, which sees nothing of the one before. Raises ValueError for a mask of another shape.
    """
    batch, n, _ = x.shape
    if attention_mask is not None and attention_mask.ndim == 4:
        return (attention_mask if attention_mask.is_floating_point() else attention_mask.bool()), False
    if attention_mask is not None and attention_mask.shape != (batch, start + n):
        raise ValueError(
            f"decoder_attention_mask must have shape ({batch}, {start + n}): a row for each text and a column for each "
            f"of its {start} cells and {n} new tokens; got {tuple(attention_mask.shape)}"
        )
    padding = attention_mask.to(x.device).bool() if attention_mask is not None else None
    if padding is not None and bool(padding.all()):
        padding = None
    texts = _texts(positions) if attention_mask is None and positions is not None else None
    if padding is None and texts is None:
        if start == 0 or n == 1:
            return None, n > 1
        return _causal(n, start, x.device), False
    mask = _causal(n, start, x.device)[None, None]
    if padding is not None:
        mask = mask & padding[:, None, None, :]
    if texts is not None:
        mask = mask & (texts[:, None, :, None] == texts[:, None, None, :])
    return mask, False


def _causal(n: int, start: int, device: torch.device) -> Tensor:
    """Return (n, start + n): query i sees the cells up to its own."""
    return torch.ones(n, start + n, dtype=torch.bool, device=device).tril(start)


def _texts(positions: Tensor) -> Tensor | None:
    """Return the number of the text each place is in, (batch or 1, n); None if there is only one."""
    breaks = positions.diff(dim=-1) != 1
    if not bool(breaks.any()):
        return None
    return torch.nn.functional.pad(breaks, (1, 0)).cumsum(-1)
