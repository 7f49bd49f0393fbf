"""When each token was said, and where the decoder looked when it wrote it: the attention of the alignment heads.

A path through the attention gives the times: all tokens, in order, over all of the audio. Where a token's own query
looks most is another thing, and cheaper: near the end of the audio it says that the decoder may still be listening.

Source: openai/whisper timing.py; transformers `_extract_token_timestamps`, which the tests compare with; Giorgino 2009
for dynamic time warping; Papi et al. 2023 (AlignAtt) for the position of most attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEDIAN_WIDTH = 7
"""Encoder positions a median is taken over: 140 ms."""
_COMPARATORS = (
    (0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4),
)  # fmt: skip
"""Exchanges that bring the median of 7 values to the middle: thirteen instead of the sixteen of a full sort."""


def median_filter(x: Tensor, width: int = MEDIAN_WIDTH) -> Tensor:
    """Filter the last dimension with a median of odd width, reflected at both ends.

    What is no longer than half a window is returned as it is, as in the reference. For the width that all checkpoints
    have, elementwise minima and maxima of shifted copies are many times cheaper than sorting each window. Raises
    ValueError for an even width, or one below 1.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"the width of a median filter must be odd, got {width}")
    reach, n = width // 2, x.shape[-1]
    if n <= reach:
        return x
    padded = torch.cat([x[..., 1 : reach + 1].flip(-1), x, x[..., -reach - 1 : -1].flip(-1)], dim=-1)
    if width != MEDIAN_WIDTH:
        return padded.unfold(-1, width, 1).sort().values[..., reach]
    lanes = [padded[..., i : i + n] for i in range(MEDIAN_WIDTH)]
    for low, high in _COMPARATORS:
        lanes[low], lanes[high] = torch.minimum(lanes[low], lanes[high]), torch.maximum(lanes[low], lanes[high])
    return lanes[reach]


def alignment_cost(
    attention: Tensor, first_row: int = 0, first: int = 0, end: int | None = None, width: int = MEDIAN_WIDTH
) -> Tensor:
    """Return the cost of putting each token at each position, (rows - first_row, end - first).

    attention: (heads, rows, n_audio_ctx). It is normalised over all rows, filtered over positions first..end with a
    median of `width`, and averaged over heads; then only the rows from `first_row` on are kept.
    """
    weights = attention[..., first:end].float()
    weights = weights - weights.mean(dim=-2, keepdim=True)
    # Many times as fast as torch's own deviation over a dimension that is not the last.
    std = weights.square().mean(dim=-2, keepdim=True).sqrt_()
    # A single row, or positions nobody looks at, have no deviation: they say nothing rather than NaN.
    weights = weights[:, first_row:] / std.clamp_min(1e-10)
    return -median_filter(weights, width).mean(dim=0)


def path_starts(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the first column of each row on the cheapest monotonic path from corner to corner, (rows,).

    cost: (rows, columns). Steps go right, down or diagonally. Ties go right, as in the reference, then diagonally;
    there the reference leaves the cheapest path, for it takes the third way when the other two tie. The recurrence
    D[i,j] = x[i,j] + min(D[i-1,j-1], D[i-1,j], D[i,j-1]) is a running minimum along a row once the row's prefix sums
    are taken off, so that a row costs a few vector operations instead of a loop over its cells.
    """
    rows, columns = cost.shape
    sums = np.cumsum(cost, axis=1)
    before = sums - cost
    total = np.full((rows + 1, columns + 1), np.inf)  # one cell of border above and to the left
    total[0, 0] = 0.0
    for i in range(rows):
        above = np.minimum(total[i, :-1], total[i, 1:])
        np.minimum.accumulate(above - before[i], out=above)
        np.add(above, sums[i], out=total[i + 1, 1:])
    diagonal, up, left = total[:-1, :-1], total[:-1, 1:], total[1:, :-1]
    by_diagonal = (diagonal <= up) & (diagonal < left)
    entered = by_diagonal | ((up < diagonal) & (up < left))
    entries = np.maximum.accumulate(np.where(entered, np.arange(columns), 0), axis=1)
    starts = np.zeros(rows, dtype=np.intp)
    column = columns - 1
    for i in range(rows - 1, -1, -1):
        starts[i] = column = entries[i, column]
        column -= int(by_diagonal[i, column])
    return starts


@dataclass(frozen=True, slots=True)
class Alignment:
    """Encoder positions of consecutive tokens."""

    starts: NDArray[np.intp]
    """(rows,): where each token starts, never going back."""
    peaks: NDArray[np.intp]
    """(rows,): where the query that chose each token looks most; the last position where it looks nowhere in
    particular, for then nothing says that it is not still listening."""


def align_tokens(attention: Tensor, first_row: int, first: int, end: int) -> Alignment:
    """Place each token from row `first_row` on.

    attention: (heads, rows, n_audio_ctx), row i being the query that chose token i; only positions first..end, which
    hold the audio of these tokens, are considered. Fewer positions than one are none: all tokens are put at `first`.
    """
    rows = attention.shape[1] - first_row
    end = min(end, attention.shape[2])
    if rows < 1 or end - first < 1:
        nowhere = np.full(max(rows, 0), first, dtype=np.intp)
        return Alignment(nowhere, nowhere)
    cost = alignment_cost(attention, first_row, first, end).double().cpu().numpy()
    peaks = np.where(np.ptp(cost, axis=1) > 0, cost.argmin(axis=1), end - first - 1)
    return Alignment(path_starts(cost) + first, peaks + first)
