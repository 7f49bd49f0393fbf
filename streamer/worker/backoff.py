"""Pauses between children that come to nothing."""

from __future__ import annotations

FIRST_S = 1.0
MOST_S = 60.0


class Backoff:
    """No pause after a child that has answered, nor after the first that has not; then 1, 2, 4 … 60 s."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        """Begin as after a child that has answered."""
        self._first_s = first_s
        self._most_s = most_s
        self._fruitless = 0

    def succeed(self) -> None:
        """Take note of an answer."""
        self._fruitless = 0

    def pause(self) -> float:
        """Return how long to wait, in seconds, after a child was lost."""
        self._fruitless += 1
        if self._fruitless <= 2:  # one that has answered begins the count anew, and one may be bad luck
            return 0.0
        return float(min(self._first_s * 2 ** min(self._fruitless - 3, 30), self._most_s))
