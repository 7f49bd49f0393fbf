"""What the text decoder's new tokens see of their rows' cells, and where they write their own."""

from __future__ import annotations

import torch
from torch import Tensor

from model.layers.cache import DecoderCache, LayerCache
from model.layers.decoder_layer import Sight


def device_sight(positions: Tensor, cache: DecoderCache) -> Sight:
    """Let queries at `positions` see all cells but those after them, without asking the device anything."""

    def store(cells: LayerCache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return cells.write(positions, keys, values)

    return Sight(store, cache.self_mask(positions), audio=cache.cross_mask())


def host_sight(positions: Tensor, cache: DecoderCache) -> Sight:
    """Do the same where positions can be read at no cost: only cells in use are read, and single rows are simpler."""
    used = int(positions.max()) + 1
    start, count = used - positions.shape[1], positions.shape[1]
    in_step = len(positions) == 1 and int(positions[0, 0]) == start

    def store(cells: LayerCache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if in_step:
            cells.self_keys[:, :, start:used] = keys
            cells.self_values[:, :, start:used] = values
        else:
            cells.write(positions, keys, values)
        return cells.self_keys[:, :, :used], cells.self_values[:, :, :used]

    sees_all = in_step and count == 1
    mask = None if sees_all else torch.arange(used) <= positions[:, None, :, None]
    return Sight(store, mask, audio=cache.cross_mask())
