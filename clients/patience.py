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

    def lose(self, now: float, covered: int) -> None:
        """Note that the connection has ended; `covered` is what was decided by then, in frames."""
        if covered > self._covered or now - self._connected > LASTING_S:
            self._since = now
            self._backoff.succeed()
        self._covered = covered

    def wait(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        return self._backoff.wait()

    def is_over(self, now: float) -> bool:
        """Say whether to give up."""
        return self._give_up_s is not None and now - self._since > self._give_up_s
