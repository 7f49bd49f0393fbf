"""An unbroken run of samples, addressed by absolute sample index."""

from __future__ import annotations

import numpy as np

from model.types import Samples

SMALLEST_STORAGE = 16_384


class Stretch:
    """Keeps the samples from `start` to `end`; forgets what is trimmed and never anything else.

    Appending is amortised constant time: when the storage is full, what is held slides to its front, or to one with
    room for half as much again. So a backlog takes little more memory than it is, and none once it is gone.
    """

    def __init__(self, start: int = 0) -> None:
        """Begin, empty, at an index."""
        self._storage: Samples = np.zeros(SMALLEST_STORAGE, dtype=np.float32)
        self._offset = 0
        self.start = start
        """Index of the oldest sample kept."""
        self.end = start
        """Index after the newest sample."""

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def capacity(self) -> int:
        """Samples there is storage for."""
        return len(self._storage)

    def append(self, samples: Samples) -> None:
        """Add samples (n,) float32 at the end."""
        held, added = len(self), len(samples)
        if self._offset + held + added > len(self._storage):
            self._make_room(held + added)
        at = self._offset + held
        self._storage[at : at + added] = samples
        self.end += added

    def _make_room(self, needed: int) -> None:
        """Slide to the front of a storage half as large again as what must fit; of this one if it is not far larger."""
        size = -(-needed * 3 // 2 // SMALLEST_STORAGE) * SMALLEST_STORAGE
        held = self._storage[self._offset : self._offset + len(self)]
        if size <= len(self._storage) <= 2 * size:
            # At least a third of it is free in front; pieces no longer than that do not overlap where they go.
            for at in range(0, len(held), self._offset):
                piece = held[at : at + self._offset]
                self._storage[at : at + len(piece)] = piece
        else:
            storage: Samples = np.empty(size, dtype=np.float32)
            storage[: len(held)] = held
            self._storage = storage
        self._offset = 0

    def read(self, start: int, end: int) -> Samples:
        """Copy the samples from index start to end, which must be held."""
        at = self._offset + start - self.start
        return self._storage[at : at + end - start].copy()

    def trim(self, start: int) -> None:
        """Forget what lies before `start`, if it is not forgotten already; no further than the end."""
        start = min(start, self.end)
        if start > self.start:
            self._offset += start - self.start
            self.start = start
