"""When a growing utterance is decoded: the grid of audio time on which its updates lie."""

from __future__ import annotations

from streamer.core.utterance import Utterance


class Cadence:
    """The distance of updates, and whether any may be left out."""

    def __init__(self, interval: int) -> None:
        """`interval`: samples between two updates, as wanted."""
        self.interval = self._stride = interval
        self.hurried = False
        """Whether updates may be left out; set by the connection, which has a clock."""
        self.patient = False
        """Whether nobody waits for updates: an utterance is then decoded when it is complete or fills the window."""

    def stretch(self, interval: int) -> int | None:
        """Wait for so many samples between two updates from now on, never less than wanted; return what is new."""
        interval = max(interval, self.interval)
        if interval == self._stride:
            return None
        self._stride = interval
        return interval

    def has_come(self, utterance: Utterance, reach: int) -> bool:
        """Return whether an utterance that can be decoded up to `reach` is to be decoded."""
        due = reach >= self._next_due(utterance) and not self.patient
        return utterance.end is not None or due or utterance.fills(reach)

    def next_end(self, utterance: Utterance, reach: int) -> int:
        """Return where the next request ends: one interval on, or at `reach` where updates are left out."""
        return reach if self.hurried or self.patient else min(reach, self._next_due(utterance))

    def _next_due(self, utterance: Utterance) -> int:
        """Return where the next update ends, if the utterance goes on as long."""
        first, heard = utterance.first_update, utterance.heard
        return first if heard < first else heard + self._stride
