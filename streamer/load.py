"""How much of the device the streams need, measured over the last seconds. Pure: told the time, never reads it.

Only what was due counts. A file that is pushed at once takes all the time that is left over; it would make any device
look crowded, and gives way to whoever is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streamer.batch import Batch
from streamer.lanes import Lane

WINDOW_S = 10.0
"""What the load is measured over."""


@dataclass(frozen=True, slots=True)
class Load:
    """What streams take, as measured."""

    busy: float
    """Share of the time, in [0, 1], in which the device worked on what was due."""
    loop: float
    """Share of the time in which the event loop computed."""
    sessions: float
    """Open on average."""
    seconds: float
    """Over which this was measured."""


@dataclass(frozen=True, slots=True)
class _Tick:
    at: float
    sessions: int
    loop_seconds: float


class LoadMeter:
    """Adds up batches, sessions and the event loop's time over a sliding window."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self._batches: deque[tuple[float, float]] = deque()  # when it ended, due seconds
        self._waits: list[float] = []
        self._ticks: deque[_Tick] = deque()

    def add(self, now: float, batch: Batch) -> None:
        """Take note of a batch that ended now."""
        self._batches.append((now, batch.seconds * batch.due))
        if batch.lane is Lane.FAST:
            self._waits.extend(wait for wait in batch.waits if wait >= 0)  # the others were answered before due

    def tick(self, now: float, sessions: int, loop_seconds: float) -> None:
        """Take note of how many sessions are open, and of the processor time the event loop has used so far."""
        self._ticks.append(_Tick(now, sessions, loop_seconds))
        while self._ticks[0].at < now - WINDOW_S:
            self._ticks.popleft()
        while self._batches and self._batches[0][0] < self._ticks[0].at:
            self._batches.popleft()

    def take_wait(self) -> float | None:
        """Return how long nine of ten answers took at most since the last call, None if there were none."""
        waits, self._waits = self._waits, []
        return percentile(waits, 0.9) if waits else None

    def read(self) -> Load:
        """Return the load between the oldest and the latest tick of the window."""
        if len(self._ticks) < 2:
            return Load(0.0, 0.0, 0.0, 0.0)
        first, last = self._ticks[0], self._ticks[-1]
        seconds = last.at - first.at
        # A batch longer than the window would make more than all of the time.
        busy = min(sum(spent for at, spent in self._batches if at <= last.at) / seconds, 1.0)
        sessions = sum(tick.sessions for tick in self._ticks) / len(self._ticks)
        return Load(busy, (last.loop_seconds - first.loop_seconds) / seconds, sessions, seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
