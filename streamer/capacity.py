"""Whether one more stream can be served. Pure.

Theory of operation. What the streams take of the device and of the event loop is measured; an average stream takes its
part of that. If all streams, and the new one, were updated at the widest interval, would there be time for them? A
stream that was let in a moment ago counts as an average one, so a crowd at the door is not let in on a measurement made
before it came; and while nothing has been measured yet, nobody is refused.

An estimate may be wrong, so there is evidence too: while answers are late although the interval is the widest, nobody
is let in.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.load import Load

FEW = 2
"""Streams that are let in whatever is measured: one that speaks, one that tries."""
LEAST_MEASURED_S = 5.0
"""Before a measurement counts."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known when somebody asks to be let in."""

    sessions: int
    """Open now."""
    load: Load
    stretch: float
    """The widest interval over the interval of now: how much less work there could be."""
    late: bool
    """Whether answers are late at the widest interval."""


def has_room(outlook: Outlook, limit: float) -> bool:
    """Say whether one more stream can be served; `limit` is the share of its time that the device may be needed."""
    if outlook.sessions < FEW:
        return True
    return not outlook.late and expected(outlook) <= limit


def expected(outlook: Outlook) -> float:
    """Return the share of the time that the busier of device and event loop would be needed with one more stream."""
    load = outlook.load
    if load.seconds < LEAST_MEASURED_S or load.sessions < 1:
        return 0.0
    growth = (outlook.sessions + 1) / load.sessions
    # The event loop's work is the audio that comes in, whatever is decoded of it.
    return growth * max(load.busy / outlook.stretch, load.loop)
