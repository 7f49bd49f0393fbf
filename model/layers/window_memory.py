"""What is kept of a window of audio, and which of its positions are to be computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.layers.attention import WhisperAttention


@dataclass(frozen=True, slots=True, eq=False)
class AttentionMemory:
    """Keys and values of each of some layers, for each position of one window."""

    keys: tuple[Tensor, ...]
    """Each (heads, positions, head_dim)."""
    values: tuple[Tensor, ...]

    @classmethod
    def of(cls, layers: Sequence[WhisperAttention], positions: int, like: Tensor) -> AttentionMemory:
        """Make room for what layers make of so many positions; like: has the device, and the type if they have none."""

        def room(own: WhisperAttention) -> Tensor:
            return like.new_empty((own.n_heads, positions, own.head_dim), dtype=own.inference or like.dtype)

        return cls(tuple(map(room, layers)), tuple(map(room, layers)))

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(part.nbytes for part in (*self.keys, *self.values))

    def write(self, layer: int, first: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put one layer's keys and values, (heads, n, head_dim), at positions from `first` on.

        Returns those of all positions, (1, heads, positions, head_dim).
        """
        place = slice(first, first + keys.shape[1])
        self.keys[layer][:, place] = keys
        self.values[layer][:, place] = values
        return self.keys[layer][None], self.values[layer][None]

    def copy_from(self, other: AttentionMemory) -> None:
        """Take over what one with less room knows."""
        for mine, its in zip((*self.keys, *self.values), (*other.keys, *other.values), strict=True):
            mine[:, : its.shape[1]] = its


@dataclass(frozen=True, slots=True, eq=False)
class WindowMemory:
    """All that is known of one window."""

    own: AttentionMemory
    """Of the encoder's layers."""
    cross: AttentionMemory
    """Of the decoder's layers, which hear the encoder's output."""
    output: Tensor
    """Of the encoder, (positions, d_model)."""

    @property
    def positions(self) -> int:
        """How many positions there is room for."""
        return len(self.output)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.own.bytes + self.cross.bytes + self.output.nbytes

    def copy_from(self, other: WindowMemory) -> None:
        """Take over what one with less room knows."""
        self.own.copy_from(other.own)
        self.cross.copy_from(other.cross)
        self.output[: other.positions] = other.output


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


def lengths(spans: Sequence[Span]) -> list[int]:
    """Return how many positions each has."""
    return [span.length for span in spans]


def rows_of(spans: Sequence[Span]) -> Tensor:
    """Return the encoder's output of all spans, one after the other, (1, n, d_model)."""
    return torch.cat([span.memory.output[span.first : span.end] for span in spans])[None]
