"""Which positions of a window each of its updates computes; arithmetic only.

|-------- kept --------|-- HALO --|-- new audio --|-- AFTER: silence --|-------- kept: silence --------|
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

from model.types import HOP, DecodeRequest

HALO = 50
"""Positions before new audio that are computed again, 1 s."""
AFTER = 64
"""Positions of silence after the audio that are computed again, as many as a dynamic context has at the least."""
REFRESH = 16
"""Updates of a window of which one computes all positions."""
HOP_OF_POSITION = 2 * HOP
"""Samples of an encoder position: 20 ms."""


class Part(NamedTuple):
    """Which positions one update computes."""

    first: int
    end: int
    positions: int
    """Of the whole window."""

    @property
    def length(self) -> int:
        """How many it computes."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Schedule:
    """The updates of one window, up to one that is asked for."""

    start: int
    ends: tuple[int, ...]
    """Where each ends, the one that is asked for last."""
    frames: Callable[[int], int]
    """Context for so many samples."""

    @classmethod
    def of(cls, request: DecodeRequest, frames: Callable[[int], int]) -> Self:
        """Return what leads to a request, itself included."""
        return cls(request.start, (*request.earlier, request.end), frames)

    @property
    def last_whole(self) -> int:
        """Which update, counted from 0, is the last one that computes all positions: nothing before it matters."""
        return (len(self.ends) - 1) // REFRESH * REFRESH

    @property
    def positions(self) -> int:
        """Positions of the window that is asked for."""
        return self._positions(len(self.ends) - 1)

    def part(self, index: int) -> Part:
        """Return what an update computes, counted from 0."""
        positions = self._positions(index)
        if index % REFRESH == 0:
            return Part(0, positions, positions)
        before, heard = self.ends[index - 1] - self.start, self.ends[index] - self.start
        # Silence that no earlier update had is computed, however far behind the audio it is.
        grown = positions > self._positions(index - 1)
        end = positions if grown else min(positions, -(-heard // HOP_OF_POSITION) + AFTER)
        return Part(max(before // HOP_OF_POSITION - HALO, 0), end, positions)

    def _positions(self, index: int) -> int:
        return self.frames(self.ends[index] - self.start) // 2
