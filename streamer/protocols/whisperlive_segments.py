"""Events as WhisperLive's segments: one an utterance, growing until it is decided, completed then."""

from __future__ import annotations

from collections import deque

from model.types import SAMPLE_RATE
from streamer.core import events
from streamer.protocols.frames import Frame


class Segments:
    """The last segments of a stream; changed by events only, in their order."""

    def __init__(self, last: int) -> None:
        """`last` completed segments are told at most."""
        self._completed: deque[Frame] = deque(maxlen=last)
        self._text = ""
        self._start: int | None = None
        self._end = 0  # sample index where the committed words end

    def receive(self, event: events.Event) -> list[Frame]:
        """Take an event; return the segments to tell. No client expects a message without any: it is not sent."""
        match event:
            case events.Commit(text=text, start=start, end=end):
                # No earlier than the segment before it ends: clients take it for known otherwise.
                self._start = max(start, self._end) if self._start is None else self._start
                self._text, self._end = self._text + text, max(end, self._start)
                return [*self._completed, segment(self._text, self._start, self._end)]
            case events.Partial(text=text, start=start, end=end) if self._text or text:
                begin = max(start, self._end) if self._start is None else self._start
                return [*self._completed, segment(self._text + text, begin, max(end, begin, self._end))]
            case events.Final() if self._start is not None:
                self._completed.append(segment(self._text, self._start, self._end, completed=True))
                self._text, self._start = "", None
                return list(self._completed)
        return []


def segment(text: str, start: int, end: int, *, completed: bool = False) -> Frame:
    """Return a segment, with a space before its text, for clients concatenate them as they are."""
    times = {"start": f"{start / SAMPLE_RATE:.3f}", "end": f"{end / SAMPLE_RATE:.3f}"}
    return {**times, "text": f" {text.strip()}", "completed": completed}
