"""Keys and values the decoder has already computed: ragged rows in one rectangular batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class LayerCache:
    """Keys and values of one decoder layer."""

    self_keys: Tensor
    """(batch, heads, capacity, head_dim); cell j of a row holds that row's token at position j."""
    self_values: Tensor
    cross_keys: Tensor
    """(batch, heads, n_audio_ctx, head_dim)."""
    cross_values: Tensor


@dataclass(slots=True)
class DecoderCache:
    """State of a batched decode. Allocated once; nothing grows while decoding.

    Rows are ragged: a token is written at its own position, so row lengths differ freely. Cells beyond a row's length
    hold garbage from padding; no query sees them, because a query at position p attends to cells 0..p only.
    """

    layers: list[LayerCache]
    cross_lengths: Tensor
    """(batch,) encoder positions that belong to each row; the rest is padding and is masked."""
    ragged: bool
    """Whether cross_lengths differ, so that a mask is needed."""

    @property
    def capacity(self) -> int:
        """Tokens a row can hold."""
        return self.layers[0].self_keys.shape[2]

    def write(self, layer: int, keys: Tensor, values: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, (batch, heads, n, head_dim), at `positions` (batch, n); return all cells."""
        cells = self.layers[layer]
        index = positions[:, None, :, None].expand_as(keys)
        cells.self_keys.scatter_(2, index, keys)
        cells.self_values.scatter_(2, index, values)
        return cells.self_keys, cells.self_values

    def self_mask(self, positions: Tensor) -> Tensor:
        """Say which cells each query sees: (batch, 1, n, capacity) bool for `positions` (batch, n)."""
        cells = torch.arange(self.capacity, device=positions.device)
        return cells <= positions[:, None, :, None]

    def cross_mask(self) -> Tensor | None:
        """Say which encoder positions each row sees: (batch, 1, 1, n_audio_ctx) bool, or None for all."""
        if not self.ragged:
            return None
        steps = torch.arange(self.layers[0].cross_keys.shape[2], device=self.cross_lengths.device)
        return steps < self.cross_lengths[:, None, None, None]

    def select(self, rows: Tensor) -> DecoderCache:
        """Keep only `rows` (n,) long, in that order: finished rows leave the batch."""
        layers = [
            LayerCache(cells.self_keys[rows], cells.self_values[rows], cells.cross_keys[rows], cells.cross_values[rows])
            for cells in self.layers
        ]
        lengths = self.cross_lengths[rows]
        return DecoderCache(layers, lengths, self.ragged)

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Let all rows but these leave; return which row each place holds from now on.

        In place, and only rows that would lie beyond the end move, so that a row may leave at every step.
        """
        count = len(rows)
        order = list(range(count))
        free = sorted(set(order) - set(rows))
        moving = sorted(row for row in rows if row >= count)
        for place, row in zip(free, moving, strict=True):
            order[place] = row
        to, source = (torch.tensor(at, device=self.cross_lengths.device) for at in (free, moving))
        for cells in self.layers:
            cells.self_keys = _moved(cells.self_keys, to, source, count)
            cells.self_values = _moved(cells.self_values, to, source, count)
            cells.cross_keys = _moved(cells.cross_keys, to, source, count)
            cells.cross_values = _moved(cells.cross_values, to, source, count)
        self.cross_lengths = _moved(self.cross_lengths, to, source, count)
        return order


def _moved(cells: Tensor, to: Tensor, source: Tensor, count: int) -> Tensor:
    """Copy rows `source` over rows `to` and return the first `count` rows, a view."""
    if len(to):
        cells[to] = cells[source]
    return cells[:count]
