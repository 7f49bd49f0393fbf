"""When a stream's requests are due, and whether it keeps up: the clock that a session does not have."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from model.types import SAMPLE_RATE

LATE_S = 0.5
"""Seconds by which an update may be overdue before updates are left out."""
AHEAD_S = 1.0
"""A client further ahead of real time than this reads from a file; it can wait, and nothing is left out for it."""
MOST_ARRIVALS = 1024
"""Notes kept; the oldest go first, so that a stream far behind is judged by newer ones."""


class Pace:
    """Notes when audio came, and judges whether what is due now is overdue."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._begun: float | None = None
        self._received = 0
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=MOST_ARRIVALS)

    def note_arrival(self, received: int) -> None:
        """Note that `received` samples are there now."""
        now = self._clock()
        if self._begun is None:
            self._begun = now - received / SAMPLE_RATE  # a first chunk was spoken before it was sent
        self._received = received
        self._arrivals.append((received, now))

    def deadline(self, due: int) -> float:
        """Return when a request that ends at sample `due` became due, on the clock.

        That is when the sample came; for a client ahead of real time, when it would have been spoken.
        """
        arrived = self._arrival(due)
        now = self._clock() if arrived is None else arrived
        return now if self._begun is None else max(now, self._begun + due / SAMPLE_RATE)

    def is_overdue(self, due: int) -> bool:
        """Say whether a request that ends at sample `due` comes too late for a client that speaks in real time."""
        arrived = self._arrival(due)
        if arrived is None or self._begun is None:
            return False
        now = self._clock()
        ahead = self._received / SAMPLE_RATE - (now - self._begun)
        return ahead <= AHEAD_S and now - arrived > LATE_S

    def _arrival(self, due: int) -> float | None:
        """Return when a sample came, as far as that is still known; older notes are dropped."""
        while self._arrivals and self._arrivals[0][0] < due:
            self._arrivals.popleft()
        return self._arrivals[0][1] if self._arrivals else None
