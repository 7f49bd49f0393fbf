"""Rolling audio of one stream, addressed by absolute sample index, with holes where samples never came."""

from __future__ import annotations

from collections import deque

import numpy as np

from model.types import Samples
from streamer.core.stretch import Stretch


class AudioWindow:
    """Keeps the samples from `start` to `end`; forgets what is trimmed and never anything else.

    A hole costs nothing, however long it is, and reads as silence.
    """

    def __init__(self) -> None:
        self._stretches = deque([Stretch()])
        self.start = 0
        """Index of the oldest sample kept."""

    def __len__(self) -> int:
        """Count the samples held, without holes."""
        return sum(map(len, self._stretches))

    @property
    def end(self) -> int:
        """Index after the newest sample."""
        return self._stretches[-1].end

    @property
    def capacity(self) -> int:
        """Samples there is storage for."""
        return sum(stretch.capacity for stretch in self._stretches)

    def append(self, samples: Samples) -> None:
        """Add samples (n,) float32 at the end."""
        self._stretches[-1].append(samples)

    def skip(self, count: int) -> None:
        """Leave a hole of `count` samples at the end."""
        following = Stretch(self.end + count)
        if not len(self._stretches[-1]):
            self._stretches.pop()
        self._stretches.append(following)

    def read(self, start: int, end: int) -> Samples:
        """Copy the samples from index start to end: a request keeps its audio however the window moves on.

        Raises IndexError for samples that are not held.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples {start}..{end} are not held; the window holds {self.start}..{self.end}")
        last = self._stretches[-1]
        if last.start <= start:
            return last.read(start, end)
        samples: Samples = np.zeros(end - start, dtype=np.float32)
        for stretch in self._stretches:
            first, beyond = max(start, stretch.start), min(end, stretch.end)
            if first < beyond:
                samples[first - start : beyond - start] = stretch.read(first, beyond)
        return samples

    def trim(self, start: int) -> None:
        """Forget what lies before `start`, if it is not forgotten already. Raises IndexError beyond the end."""
        if start > self.end:
            raise IndexError(f"cannot trim to {start}: the window ends at {self.end}")
        self.start = max(self.start, start)
        while len(self._stretches) > 1 and self._stretches[0].end <= self.start:
            self._stretches.popleft()
        self._stretches[0].trim(self.start)

    def release(self) -> None:
        """Forget everything, and give the storage back."""
        self._stretches = deque([Stretch(self.end)])
        self.start = self.end
