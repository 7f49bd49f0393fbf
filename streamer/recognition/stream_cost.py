"""What one more stream will cost, as far as it is known: learned from load, and kept while there is none. Pure.

Theory of operation. What is measured holds for the streams that were open while it was measured. Those that came since,
and the one at the door, are expected to cost what a stream has cost so far. Less than that is learned slowly, so that a
second of silence does not make streams look free, and more than that fast. It is forgotten by what is measured later
only: a crowd that comes to an idle daemon is counted at yesterday's price. Before the first stream the price is that of
an update which the daemon made of noise when it started.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from streamer.recognition.load import Load

LEARNING_S = 30.0
"""Time constant: after as long under another load, two thirds of the price are that load's."""
RISING_S = 5.0
"""The same where a stream costs more than was thought: those that are at the door would be let in for too little."""
LEAST_SESSIONS = 2.0
"""Of which an average is one: a lone stream may be silent, or a test."""


@dataclass(frozen=True, slots=True)
class Price:
    """Shares of their time that device and event loop need for one stream."""

    device: float = 0.0
    """At the widest update interval."""
    loop: float = 0.0


class StreamCost:
    """Learns the price of a stream."""

    def __init__(self) -> None:
        """Begin with nothing known: streams are free."""
        self.price = Price()

    def estimate(self, update_seconds: float, widest: float) -> None:
        """Take the time of one update on the device, and the widest interval (s), for what a stream costs."""
        self.price = Price(update_seconds / widest)

    def learn(self, seconds: float, load: Load, stretch: float) -> None:
        """Take note of `seconds` more under a load; `stretch` is the widest interval over the one of now."""
        if load.sessions < LEAST_SESSIONS:
            return
        self.price = Price(
            learned(self.price.device, load.at(stretch) / load.sessions, seconds),
            learned(self.price.loop, load.loop / load.sessions, seconds),
        )


def learned(price: float, seen: float, seconds: float) -> float:
    """Return a price after so many seconds under a load of which `seen` is a stream's part."""
    kept = exp(-seconds / (RISING_S if seen > price else LEARNING_S))
    return kept * price + (1 - kept) * seen
