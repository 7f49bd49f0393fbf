"""How much of the device the streams need, measured over the last seconds. Pure: told the time, never reads it.

Only what was due counts. A file that is pushed at once takes all the time that is left over; it would make any device
look crowded, and gives way to whoever is due. The event loop's work is the audio that comes in, and clients that come
and go, so of that it counts what streams in real time, once they are open, would have brought.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streamer.recognition.batch import Batch
from streamer.recognition.lanes import Lane

WINDOW_S = 10.0
"""What the load is measured over."""
OPENING_S = 0.5
"""What a client that comes costs the event loop, in seconds of audio: 2 ms where a second of speech costs 4."""


@dataclass(frozen=True, slots=True)
class Load:
    """What streams take, as measured."""

    busy: float
    """Share of the time, in [0, 1], in which the device worked on what was due."""
    loop: float
    """Share of the time in which the event loop computed for what was due."""
    sessions: float
    """Open on average."""
    seconds: float
    """Over which this was measured."""
    fixed: float = 0.0
    """The part of `busy`, in [0, busy], that utterances cost however seldom they are updated."""

    def at(self, stretch: float) -> float:
        """Return how busy the device would be if streams were updated so many times less often."""
        return self.fixed + (self.busy - self.fixed) / stretch


@dataclass(frozen=True, slots=True)
class _Spent:
    """On one batch, in seconds of what was due."""

    at: float
    seconds: float
    fixed: float


@dataclass(frozen=True, slots=True)
class _Tick:
    at: float
    sessions: int
    loop_seconds: float
    taken_in: float


class LoadMeter:
    """Adds up batches, sessions and the event loop's time over a sliding window."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self._batches: deque[_Spent] = deque()
        self._waits: list[float] = []
        self._ticks: deque[_Tick] = deque()

    def add(self, now: float, batch: Batch) -> None:
        """Take note of a batch that ended now."""
        due = batch.seconds * batch.due
        self._batches.append(_Spent(now, due, due * fixed_share(batch)))
        if batch.lane is Lane.FAST:
            self._waits.extend(wait for wait in batch.waits if wait >= 0)  # the others were answered before due

    def tick(self, now: float, sessions: int, loop_seconds: float, taken_in: float = 0.0) -> None:
        """Take note of how many sessions are open, and of what there was so far.

        loop_seconds: processor time the event loop has used; taken_in: what came from clients, in seconds of audio.
        """
        self._ticks.append(_Tick(now, sessions, loop_seconds, taken_in))
        while self._ticks[0].at < now - WINDOW_S:
            self._ticks.popleft()
        while self._batches and self._batches[0].at < self._ticks[0].at:
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
        measured = [batch for batch in self._batches if batch.at <= last.at]
        # A batch longer than the window would make more than all of the time.
        busy = min(sum(batch.seconds for batch in measured) / seconds, 1.0)
        fixed = min(sum(batch.fixed for batch in measured) / seconds, busy)
        sessions = sum(tick.sessions for tick in self._ticks) / len(self._ticks)
        loop = (last.loop_seconds - first.loop_seconds) / seconds
        came = (last.taken_in - first.taken_in) / seconds  # of one stream in real time: 1
        return Load(busy, loop * min(1.0, sessions / came) if came else loop, sessions, seconds, fixed)


def fixed_share(batch: Batch) -> float:
    """Return the share of a batch, in [0, 1], that would be decoded just as often at any update interval.

    That is every utterance's last decode, and its first, which no interval delays; there are as many of these.
    """
    finals = sum(hypothesis.final for hypothesis in batch.hypotheses)
    rows = finals if batch.lane is Lane.SLOW else 2 * finals  # what is tried again there was counted with its first
    return min(rows / len(batch.hypotheses), 1.0)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
