"""Caches at addresses that stay: what graphs need, in one piece of memory for all shapes.

Only one batch is on the device at a time, so caches of all shapes may lie in the same memory. A shape is (batch,
encoder positions, text cells), rounded up to few values; the first rows of a shape lie where those of the same shape
with fewer rows lie, so a batch can shrink without moving.

Nothing of an earlier batch is ever seen by a later one: cells are zeroed, and positions beyond a row's own are masked
and hold zeros. (Masking alone would not do, 0 * infinity is NaN.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.decoding.step import FIELDS, SPAN, StepPlace
from model.layers.cache import DecoderCache, LayerCache
from model.layers.decoder import WhisperDecoder
from model.layers.window_memory import AttentionMemory

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Rows of a graph. What is decoded beyond the largest is decoded without."""
POSITION_STEP = 256
"""Encoder positions are rounded up to multiples of this, or to all of them: a masked position costs as much to read as
another, and a graph more costs memory and a capture."""
CELLS = (128, 256)
"""Text cells are rounded up to one of these, or to all of them."""
MEMORY_SHARE = 0.4
"""Of a GPU's memory, what the arena may take."""
FREE_SHARE = 0.8
"""Of what others have left free of it when the network is there, likewise: the rest is for what a batch computes."""


class Shape(NamedTuple):
    """What a graph was made for."""

    batch: int
    positions: int
    """Of the encoder."""
    cells: int
    """Tokens a row can hold."""
    ragged: bool
    """Whether rows have positions that are masked."""


class Sizes(NamedTuple):
    """Numbers that caches take."""

    audio: int
    """Keys of one layer over the audio; the values are as many."""
    text: int
    """The same over the text."""
    attention: int
    """Of the alignment heads."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Of the decoder whose caches they are."""

    layers: int
    heads: int
    head_dim: int
    positions: int
    """Most encoder positions."""
    cells: int
    """Most text cells."""
    alignment_heads: int
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, decoder: WhisperDecoder, alignment_heads: int) -> Dimensions:
        """Read them off a network."""
        config, weight = decoder.config, decoder.embed_positions.weight
        heads = config.decoder_attention_heads
        return cls(
            config.decoder_layers,
            heads,
            config.d_model // heads,
            config.max_source_positions,
            decoder.embed_positions.num_embeddings,
            alignment_heads,
            weight.dtype,
            weight.device,
        )

    def shape(self, batch: int, positions: int, cells: int, *, ragged: bool) -> Shape:
        """Round up; batch: at most the largest of BATCHES. Rows become ragged where positions are added."""
        wide = min(-(-positions // POSITION_STEP) * POSITION_STEP, self.positions)
        long = next((size for size in CELLS if cells <= size < self.cells), self.cells)
        return Shape(batch_bucket(batch), wide, long, ragged or wide > positions)

    @property
    def seen(self) -> int:
        """Numbers of attention that are collected of a row, for each encoder position."""
        return self.alignment_heads * SPAN

    def sizes(self, shape: Shape) -> Sizes:
        """Return the memory that a shape takes, in numbers."""
        width = shape.batch * self.heads * self.head_dim
        return Sizes(width * shape.positions, width * shape.cells, shape.batch * self.seen * shape.positions)

    def bytes(self, sizes: Sizes) -> int:
        """Return the same in bytes."""
        values = 2 * self.layers * (sizes.audio + sizes.text)
        return values * self.dtype.itemsize + sizes.attention * torch.float32.itemsize


class CacheArena:
    """Memory for the caches of one batch at a time. Use it within torch.inference_mode."""

    def __init__(self, decoder: WhisperDecoder, dimensions: Dimensions, budget: int | None = None) -> None:
        """budget: bytes that it may take; if None, a share of the GPU's memory, any number on a CPU."""
        self._decoder = decoder
        self._dimensions = dimensions
        self._budget = _memory(dimensions.device) if budget is None else budget
        self._audio: list[Tensor] = []
        self._text: list[Tensor] = []
        self._attention = torch.empty(0)
        self._held = Sizes(0, 0, 0)
        largest, device = BATCHES[-1], dimensions.device
        self._lengths = torch.zeros(largest, dtype=torch.long, device=device)
        self._state = torch.zeros(FIELDS * largest, dtype=torch.long, device=device)
        self._chosen = torch.zeros(2 * largest, dtype=torch.float64, device=device)
        self._count = torch.zeros(1, dtype=torch.long, device=device)

    def fits(self, shape: Shape) -> bool:
        """Whether memory suffices for a shape."""
        return self._dimensions.bytes(self._dimensions.sizes(shape)) <= self._budget

    def holds(self, shape: Shape) -> bool:
        """Whether there is room for a shape already. If not, `open` moves everything to other addresses."""
        return all(need <= have for need, have in zip(self._dimensions.sizes(shape), self._held, strict=True))

    def open(
        self, audio: Tensor, lengths: Tensor | None, shape: Shape, known: Sequence[AttentionMemory | None] = ()
    ) -> DecoderCache:
        """Return an empty cache of a shape for a batch of `len(audio)` rows; the one before is lost.

        Raises torch.OutOfMemoryError if there is no room for it and none to be had; then there is room for nothing.
        audio: encoder output (rows, n_audio_ctx, d_model), no wider than the shape; lengths: (rows,), all if None;
        known: see `WhisperDecoder.audio_cells`.
        """
        self._reserve(shape)
        rows, heard = audio.shape[:2]
        cache = self.cache(shape, rows)
        self._lengths[:rows] = heard if lengths is None else lengths
        self._lengths[rows:] = shape.positions  # a row that hears nothing at all would be NaN
        for layer, cells in enumerate(cache.layers):
            keys, values = self._decoder.audio_cells(layer, audio, known)
            for kept, new in ((cells.cross_keys, keys), (cells.cross_values, values)):
                kept[:, :, :heard].copy_(new)
                kept[:, :, heard:].zero_()
            cells.self_keys.zero_()
            cells.self_values.zero_()
        return cache

    def cache(self, shape: Shape, rows: int) -> DecoderCache:
        """Return the first rows of a shape as a cache: a view of what lies there."""
        layers = [
            LayerCache(*self._split(text, rows, shape.cells), *self._split(audio, rows, shape.positions))
            for audio, text in zip(self._audio, self._text, strict=True)
        ]
        return DecoderCache(layers, self._lengths[:rows], shape.ragged)

    def place(self, shape: Shape) -> StepPlace:
        """Return where a step of a shape reads and writes."""
        batch, heads = shape.batch, self._dimensions.alignment_heads
        size = (batch, heads, SPAN, shape.positions)
        seen = self._attention[: batch * heads * SPAN * shape.positions].view(size) if heads else None
        state = self._state[: FIELDS * batch].view(FIELDS, batch)
        return StepPlace(self.cache(shape, batch), state, self._chosen[: 2 * batch].view(2, batch), seen, self._count)

    def _split(self, memory: Tensor, rows: int, length: int) -> tuple[Tensor, Tensor]:
        """Return keys and values, (rows, heads, length, head_dim) each, from the two halves of a layer's memory."""
        d = self._dimensions
        size = (rows, d.heads, length, d.head_dim)
        count = rows * d.heads * length * d.head_dim
        keys, values = memory
        return keys[:count].view(size), values[:count].view(size)

    def _reserve(self, shape: Shape) -> None:
        """Have room for a shape; what was there is lost if there was not."""
        if self.holds(shape):
            return
        d = self._dimensions
        wanted = d.sizes(shape)
        both = Sizes(*map(max, wanted, self._held))
        # Shapes of many rows and shapes of long rows together may be more than any of them.
        sizes = both if d.bytes(both) <= self._budget else wanted
        self._audio, self._text, self._attention = [], [], torch.empty(0)  # given back before more is taken
        self._held = Sizes(0, 0, 0)  # until there is: what follows may find no memory
        self._audio = [torch.zeros((2, sizes.audio), dtype=d.dtype, device=d.device) for _ in range(d.layers)]
        self._text = [torch.zeros((2, sizes.text), dtype=d.dtype, device=d.device) for _ in range(d.layers)]
        self._attention = torch.zeros(sizes.attention, device=d.device)
        self._held = sizes


def batch_bucket(rows: int) -> int:
    """Return the least of BATCHES that holds so many rows. Raises ValueError beyond the largest."""
    if not 0 < rows <= BATCHES[-1]:
        raise ValueError(f"rows must be in 1..{BATCHES[-1]}, got {rows}")
    return BATCHES[bisect_left(BATCHES, rows)]


def _memory(device: torch.device) -> int:
    """Return the bytes that may be taken of a device."""
    if device.type != "cuda":
        return 1 << 62
    free, total = torch.cuda.mem_get_info(device)
    return int(min(MEMORY_SHARE * total, FREE_SHARE * free))
