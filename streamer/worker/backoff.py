"""Pauses between children that come to nothing."""

from __future__ import annotations

FIRST_S = 1.0
MOST_S = 60.0
SETTLED_S = 60.0
"""A child that had the model for as long was well, though nobody may have asked it anything."""


class Backoff:
    """No pause after a child that came to something, nor after the first that has not; then 1, 2, 4 … 60 s."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        """Begin as after a child that came to something."""
        self._first_s = first_s
        self._most_s = most_s
        self._fruitless = 0

    def succeed(self) -> None:
        """Take note that a child came to something: it has answered, or had the model for `SETTLED_S`."""
        self._fruitless = 0

    def pause(self) -> float:
        """Return how long to wait, in seconds, after a child was lost."""
        self._fruitless += 1
        if self._fruitless <= 2:  # one that came to something begins the count anew, and one may be bad luck
            return 0.0
        return float(min(self._first_s * 2 ** min(self._fruitless - 3, 30), self._most_s))
