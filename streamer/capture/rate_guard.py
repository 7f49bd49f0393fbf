"""Tells a device from something that delivers samples faster than real time, such as a file in a device's place."""

from __future__ import annotations

SPARE_S = 3.0
"""Audio that may come at once: what a sound server kept while this process was held up."""
FASTEST = 1.05
"""Times real time: clocks of sound cards are off by far less."""


class RateGuard:
    """A bucket that fills with time and is emptied by audio; pure, times are arguments."""

    def __init__(self, rate: int, now: float) -> None:
        """`rate` in frames a second, `now` in seconds of any clock that does not jump."""
        self._rate = rate
        self._now = now
        self._credit = SPARE_S

    def receive(self, frames: int, now: float) -> bool:
        """Take the next frames; say whether they came in time, rather than too soon."""
        self._credit = min(SPARE_S, self._credit + FASTEST * (now - self._now)) - frames / self._rate
        self._now = now
        return self._credit >= 0
