"""The time of a simulated stream: how much of it a system was given, and when the system is free again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.emission import Emission
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE, Samples

Meter = Callable[[], float]
"""Tells the CPU seconds used so far."""


class StreamClock:
    """A clock of one stream. Audio comes as it is spoken; work takes the CPU seconds that it used.

    meter: what the work is measured with; all threads of the process by default.
    """

    def __init__(self, speech: Speech, meter: Meter = time.process_time) -> None:
        self.now = 0.0
        """Seconds of stream time: when all that was done so far is done."""
        self.busy = 0.0
        """CPU seconds of all work."""
        self.given = 0
        """Samples the system was given."""
        self._samples = speech.samples
        self._meter = meter
        self._mark = meter()

    @property
    def end(self) -> float:
        """Seconds of the whole stream."""
        return len(self._samples) / SAMPLE_RATE

    def take(self, least: float) -> Samples | None:
        """Wait until this much new audio or the end has come; take all that has come by then. None after the end.

        A system that is behind does not wait, and takes more.
        """
        if self.given >= len(self._samples):
            return None
        enough = min(self.given + round(least * SAMPLE_RATE), len(self._samples))
        self.now = max(self.now, enough / SAMPLE_RATE)
        return self.arrived()

    def arrived(self) -> Samples:
        """Take what has come since the last time."""
        first = self.given
        self.given = max(first, min(round(self.now * SAMPLE_RATE), len(self._samples)))
        return self._samples[first : self.given]

    def packet(self, size: int) -> Samples | None:
        """Take the next packet of this many samples, or the short last one, if it has come; None otherwise."""
        due = self.next_packet(size)
        if due is None or due > self.now:
            return None
        first, self.given = self.given, min(self.given + size, len(self._samples))
        return self._samples[first : self.given]

    def next_packet(self, size: int) -> float | None:
        """Say when the next packet of this many samples is complete; None after the end."""
        if self.given >= len(self._samples):
            return None
        return min(self.given + size, len(self._samples)) / SAMPLE_RATE

    def resume(self) -> None:
        """Begin to count work; what was done since the last charge is nobody's."""
        self._mark = self._meter()

    def charge(self) -> None:
        """Let time pass by the CPU seconds used since the last call of this or of resume()."""
        mark = self._meter()
        self.now += mark - self._mark
        self.busy += mark - self._mark
        self._mark = mark

    @contextmanager
    def work(self) -> Iterator[None]:
        """Charge what is done inside."""
        self.resume()
        yield
        self.charge()

    def emit(
        self,
        committed: tuple[str, ...],
        *,
        shown: tuple[str, ...] = (),
        rewritten: int = 0,
        final: bool = False,
        heard: float | None = None,
    ) -> Emission:
        """Say something now. heard: how much of the stream it rests on, in seconds; all that was given by default."""
        audio = self.given / SAMPLE_RATE if heard is None else heard
        return Emission(audio, max(self.now, audio), committed, shown, rewritten, final)
