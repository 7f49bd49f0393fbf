"""Rolling audio of one stream, addressed by absolute sample index."""

from __future__ import annotations

import numpy as np

from model.types import Samples


class AudioWindow:
    """Keeps the samples from `start` to `end`; forgets what is trimmed and never anything else.

    Appending is amortised constant time: the storage doubles when full and slides down when its head is empty.
    """

    def __init__(self) -> None:
        self._storage: Samples = np.zeros(16_384, dtype=np.float32)
        self._offset = 0
        self.start = 0
        """Index of the oldest sample kept."""
        self.end = 0
        """Index after the newest sample."""

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, samples: Samples) -> None:
        """Add samples (n,) float32 at the end."""
        held, added = len(self), len(samples)
        if self._offset + held + added > len(self._storage):
            self._make_room(held + added)
        at = self._offset + held
        self._storage[at : at + added] = samples
        self.end += added

    def _make_room(self, needed: int) -> None:
        """Slide to the front of a storage at least twice as large as what must fit."""
        size = len(self._storage)
        while size < 2 * needed:
            size *= 2
        held = self._storage[self._offset : self._offset + len(self)]
        storage: Samples = np.zeros(size, dtype=np.float32)
        storage[: len(held)] = held
        self._storage, self._offset = storage, 0

    def read(self, start: int, end: int) -> Samples:
        """Copy the samples from index start to end: a request keeps its audio however the window moves on.

        Raises IndexError for samples that are not held.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples {start}..{end} are not held; the window holds {self.start}..{self.end}")
        at = self._offset + start - self.start
        return self._storage[at : at + end - start].copy()

    def trim(self, start: int) -> None:
        """Forget what lies before `start`, if it is not forgotten already. Raises IndexError beyond the end."""
        if start > self.end:
            raise IndexError(f"cannot trim to {start}: the window ends at {self.end}")
        if start > self.start:
            self._offset += start - self.start
            self.start = start
