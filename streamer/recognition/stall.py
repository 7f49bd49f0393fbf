"""Tells a recognizer that is stuck from one that is slow or has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

PATIENCE_S = 120.0
"""A batch may take this long: many full windows of a large model on a CPU."""


class StallDetector:
    """Watches the engine's progress from the event loop."""

    def __init__(
        self,
        waiting: Callable[[], bool],
        progress: Callable[[], int],
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Ask `waiting` whether anybody waits for the engine, `progress` for a number that grows with each batch."""
        self._waiting = waiting
        self._progress = progress
        self._patience_s = patience_s
        self._clock = clock
        self._seen = progress()
        self._since = clock()

    def stalled(self) -> bool:
        """Whether somebody has waited without progress for longer than a batch may take; ask it regularly."""
        if not self._waiting() or self._progress() != self._seen:
            self._seen = self._progress()
            self._since = self._clock()
        return self._clock() - self._since > self._patience_s
