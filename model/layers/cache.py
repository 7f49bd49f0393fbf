"""Keys and values the decoder has already computed: ragged rows in one rectangular batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GROWTH = 64
"""Cells that are added at once when appending finds none free."""


@dataclass(slots=True)
class LayerCache:
    """Keys and values of one decoder layer."""

    self_keys: Tensor
    """(batch, heads, capacity, head_dim); cell j of a row holds that row's token at position j."""
    self_values: Tensor
    cross_keys: Tensor
    """(batch, heads, n_audio_ctx, head_dim); a decoder that hears nothing has no positions here."""
    cross_values: Tensor

    def write(self, positions: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, (batch, heads, n, head_dim), at `positions` (batch, n); return all cells."""
        index = positions[:, None, :, None].expand_as(keys)
        self.self_keys.scatter_(2, index, keys)
        self.self_values.scatter_(2, index, values)
        return self.self_keys, self.self_values

    def append(self, start: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store them in the cells from `start` on, the same for all rows; return the cells up to the new ones.

        Where gradients are wanted nothing is overwritten, so that they can be had of every pass.
        """
        if start == 0:
            self.self_keys, self.self_values = keys, values
            return keys, values
        self.self_keys = _appended(self.self_keys, start, keys)
        self.self_values = _appended(self.self_values, start, values)
        end = start + keys.shape[2]
        return self.self_keys[:, :, :end], self.self_values[:, :, :end]


@dataclass(slots=True)
class DecoderCache:
    """State of a batched decode, used in one of two ways.

    Ragged, by `LayerCache.write`: a token is written at its own position, so row lengths differ freely. Allocated once,
    nothing grows while decoding. Cells beyond a row's length hold garbage from padding; no query sees them, because a
    query at position p attends to cells 0..p only.

    In step, by `LayerCache.append`: every row gets as many cells, `length` of them so far, and what of them is padding
    only a mask can say. This is the reference's `past_key_values`.
    """

    layers: list[LayerCache]
    cross_lengths: Tensor
    """(batch,) encoder positions that belong to each row; the rest is padding and is masked."""
    ragged: bool
    """Whether cross_lengths differ, so that a mask is needed."""
    length: int = 0
    """Cells that hold what was appended."""
    group: int = 1
    """Rows one after the other that hear the same audio: what `repeat` has made of one."""

    @property
    def capacity(self) -> int:
        """Tokens a row can hold."""
        return self.layers[0].self_keys.shape[2]

    def get_seq_length(self) -> int:
        """Return how many cells hold what was appended."""
        return self.length

    def reorder(self, rows: Tensor) -> None:
        """Let place i hold what row `rows[i]` held, (batch,) long; beams that others were chosen over are lost.

        Audio is not moved where every row stays with its own.
        """
        places = torch.arange(len(rows), device=rows.device)
        if torch.equal(rows, places) and len(rows) == len(self.cross_lengths):
            return
        alone = len(rows) != len(self.cross_lengths) or not torch.equal(rows // self.group, places // self.group)
        for cells in self.layers:
            cells.self_keys = cells.self_keys[:, :, : self.length][rows]
            cells.self_values = cells.self_values[:, :, : self.length][rows]
            if alone:
                cells.cross_keys, cells.cross_values = cells.cross_keys[rows], cells.cross_values[rows]
        self.cross_lengths = self.cross_lengths[rows]

    def repeat(self, times: int) -> None:
        """Let every row be there so many times, one after the other."""
        for cells in self.layers:
            cells.self_keys = cells.self_keys[:, :, : self.length].repeat_interleave(times, dim=0)
            cells.self_values = cells.self_values[:, :, : self.length].repeat_interleave(times, dim=0)
            cells.cross_keys = cells.cross_keys.repeat_interleave(times, dim=0)
            cells.cross_values = cells.cross_values.repeat_interleave(times, dim=0)
        self.cross_lengths = self.cross_lengths.repeat_interleave(times)
        self.group *= times

    def crop(self, length: int) -> None:
        """Forget the cells at and after `length`; a negative one counts from the end."""
        self.length = max(0, min(self.length, self.length + length if length < 0 else length))

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
        return DecoderCache(layers, lengths, self.ragged, self.length)

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


def _appended(cells: Tensor, start: int, new: Tensor) -> Tensor:
    """Return cells that hold `new` from `start` on, these ones if they have room."""
    held, count = cells[:, :, :start], new.shape[2]
    # Zeros for cells never written, those of a layer that training left out.
    gap = cells.new_zeros(*cells.shape[:2], start - held.shape[2], cells.shape[3])
    if new.requires_grad or cells.requires_grad:
        return torch.cat([held, gap, new], dim=2)
    if cells.shape[2] < start + count:
        room = cells.new_zeros(*cells.shape[:2], max(count, GROWTH), cells.shape[3])
        cells = torch.cat([held, gap, room], dim=2)
    cells[:, :, start : start + count] = new
    return cells


def _moved(cells: Tensor, to: Tensor, source: Tensor, count: int) -> Tensor:
    """Copy rows `source` over rows `to` and return the first `count` rows, a view."""
    if len(to):
        cells[to] = cells[source]
    return cells[:count]
