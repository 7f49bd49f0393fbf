"""What the encoder keeps of a window of audio, and which of its positions are to be computed anew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True, eq=False)
class WindowMemory:
    """Keys and values of every encoder layer and the encoder's output, for each position of one window."""

    keys: Tensor
    """(layers, heads, positions, head_dim)."""
    values: Tensor
    output: Tensor
    """(positions, d_model)."""

    @classmethod
    def empty(cls, layers: int, heads: int, positions: int, like: Tensor, inner: torch.dtype) -> WindowMemory:
        """Make room for a window, of which nothing is known yet.

        like: anything of the output's width, type and device; inner: type of keys and values.
        """
        width = like.shape[-1]
        shape = (layers, heads, positions, width // heads)
        keys, values = (torch.empty(shape, dtype=inner, device=like.device) for _ in range(2))
        return cls(keys, values, like.new_empty(positions, width))

    @property
    def positions(self) -> int:
        """How many positions there is room for."""
        return len(self.output)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.keys.nbytes + self.values.nbytes + self.output.nbytes

    def grown(self, positions: int) -> WindowMemory:
        """Return one with more room that knows what this one knows."""
        layers, heads = self.keys.shape[:2]
        grown = WindowMemory.empty(layers, heads, positions, self.output, self.keys.dtype)
        grown.keys[:, :, : self.positions] = self.keys
        grown.values[:, :, : self.positions] = self.values
        grown.output[: self.positions] = self.output
        return grown

    def write(self, layer: int, first: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put one layer's keys and values, (heads, n, head_dim), at positions from `first` on.

        Returns those of all positions, (1, heads, positions, head_dim).
        """
        place = slice(first, first + keys.shape[1])
        self.keys[layer, :, place] = keys
        self.values[layer, :, place] = values
        return self.keys[layer : layer + 1], self.values[layer : layer + 1]


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Positions of a window that are to be computed anew, among others that stay."""

    features: Tensor
    """Log-mel of the whole window, (n_mels, 2 * memory.positions)."""
    first: int
    end: int
    memory: WindowMemory
    """What is known of the others; takes what is found."""

    @property
    def length(self) -> int:
        """How many positions."""
        return self.end - self.first
