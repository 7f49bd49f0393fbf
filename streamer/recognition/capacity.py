"""Whether one more stream, or as many as one client brings, can be served. Pure.

Theory of operation. What the streams take of the device and of the event loop is measured. If all of them were updated
at the widest interval, which spares no utterance its first and its last decode, and those that came since the
measurement and the new ones cost what a stream is known to cost (`stream_cost.py`), would there be time for them? So a
crowd at the door is not let in on a measurement made before it came, nor because nobody was there to be measured.

An estimate may be wrong, so there is evidence too: while answers are late although the interval is the widest, nobody
is let in.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.recognition.load import Load
from streamer.recognition.stream_cost import Price

FEW = 2
"""Streams that are let in whatever is measured: one that speaks, one that tries."""


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
    price: Price
    """Of a stream that is not in the measurement."""


def has_room(outlook: Outlook, limit: float, streams: int = 1) -> bool:
    """Say whether so many more streams can be served; `limit` is the share of its time that a device may be needed."""
    if outlook.sessions + streams <= FEW:
        return True
    return not outlook.late and expected(outlook, streams) <= limit


def expected(outlook: Outlook, streams: int = 1) -> float:
    """Return the share of the time that device or event loop, the busier, would be needed with so many streams more."""
    load, price = outlook.load, outlook.price
    unmeasured = max(outlook.sessions + streams - load.sessions, float(streams))
    # The event loop's work is the audio that comes in, whatever is decoded of it.
    return max(load.at(outlook.stretch) + unmeasured * price.device, load.loop + unmeasured * price.loop)
