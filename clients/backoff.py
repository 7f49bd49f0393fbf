"""How long to wait before the next attempt to connect. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable

STEPS_S = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Longest waits, one an attempt; the last one stays."""


class Backoff:
    """Waits that grow, spread over all of their length, so that many clients do not come back at once.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives numbers in [0, 1)."""
        self._draw = draw
        self._attempt = 0

    def succeed(self) -> None:
        """Begin anew."""
        self._attempt = 0

    def wait(self) -> float:
        """Return how many seconds to wait now."""
        step = STEPS_S[min(self._attempt, len(STEPS_S) - 1)]
        self._attempt += 1
        return step * self._draw()
