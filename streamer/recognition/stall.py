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
        waiting_since: Callable[[], float | None],
        progress: Callable[[], int],
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Ask `waiting_since` from when on somebody has waited for the engine, None if nobody waits.

        `progress` returns a number that grows with each batch; `clock` gives seconds, as `waiting_since` has them.
        """
        self._waiting_since = waiting_since
        self._progress = progress
        self._patience_s = patience_s
        self._clock = clock
        self._seen = progress()
        self._moved = clock()

    def stalled(self) -> bool:
        """Whether somebody has waited without progress for longer than a batch may take.

        However seldom it is asked: who has only begun to wait has not waited since it was asked last.
        """
        if self._progress() != self._seen:
            self._seen = self._progress()
            self._moved = self._clock()
        since = self._waiting_since()
        return since is not None and self._clock() - max(since, self._moved) > self._patience_s
