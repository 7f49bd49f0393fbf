"""How long, and how often, a stream that gets no further is tried again. Pure; times are seconds of any clock."""

from __future__ import annotations

from clients.backoff import Backoff

LASTING_S = 60.0
"""A connection that stood for so long was a good one, although nothing was decided: nothing may have been said."""


class Patience:
    """Of one stream, from one connection to the next: it is getting further that counts, not being connected.

    A server that ends each connection soon, in whatever way, is not asked more often than one that is away.
    """

    def __init__(self, give_up_s: float | None, backoff: Backoff | None = None) -> None:
        """`give_up_s` without getting any further are enough; None for never."""
        self._give_up_s = give_up_s
        self._backoff = backoff or Backoff()
        self._covered = -1
        self._since = self._connected = 0.0

    def connect(self, now: float) -> None:
        """Note that there is a connection."""
        self._connected = now

    def lose(self, now: float, covered: int) -> bool:
        """Note that the connection has ended; `covered` is what was decided by then, in frames.

        Return whether that was any further.
        """
        further, stood_s = covered > self._covered, now - self._connected
        if further or stood_s > LASTING_S:
            self._backoff.succeed()
        if further or stood_s > min(LASTING_S, self._give_up_s or LASTING_S):
            self._since = now
        self._covered = covered
        return further

    def wait(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        return self._backoff.wait()

    def is_over(self, now: float) -> bool:
        """Say whether to give up."""
        return self._give_up_s is not None and now - self._since > self._give_up_s
