"""How often every stream is decoded: as often as wanted, and less often while the device cannot keep up. Pure.

Theory of operation. The intervals are rungs of a ladder. Once a period, the time between an update's being due and its
answer is looked at. Longer than LATE of the interval: the device does not keep up, and the ladder is climbed, by more
than one rung if it is far behind. Far shorter, for several periods, and the device would have time for it: one rung is
descended. What is gained is given back slowly, what is missing is taken at once (additive increase, multiplicative
decrease of the update rate, as TCP does it). How busy the device would be one rung lower is known only roughly, for
larger batches cost less per row; where it is doubtful, a descent is a trial. One that has to be taken back doubles the
time until the next, so that a load between two rungs does not swing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HALVES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Rungs, in halves of the wanted interval: updates of a stretched stream stay on the grid of half an interval."""
LATE = 0.75
"""Share of the interval that an answer may take."""
EARLY = 0.5
"""Share of the next smaller interval that it may take before that interval is tried."""
SURELY, PERHAPS = 0.85, 1.15
"""Share of its time that the device would be busy at the next smaller interval, if a row cost as much there: up to the
first it will keep up, up to the second it may."""
LATE_PERIODS = 2
"""In a row, before the ladder is climbed: one may be a hiccup."""
SETTLING_PERIODS = 2
"""After a move, in which what is measured still belongs to the rung before."""
CALM_PERIODS, MOST_CALM_PERIODS = 5, 80
"""In a row, before a rung is descended; if that is a trial, doubled by every one that had to be taken back."""
TRIAL_PERIODS = 30
"""A descent that lasts as long was right."""


@dataclass(frozen=True, slots=True)
class Period:
    """What was seen in one period."""

    wait: float | None
    """Seconds that nine of ten answers took at most, from when they were due.

    If there were none: 0 where nobody waits, since nobody spoke; None where somebody does, which says nothing, for the
    device may take longer than a period."""
    busy: float
    """Share of the time, in [0, 1], in which the device worked on what was due."""


def rungs(interval: int, widest: int) -> tuple[int, ...]:
    """Return the intervals between the wanted one and the widest, in the unit of both; at least the wanted one."""
    steps = tuple(interval * halves // 2 for halves in HALVES)
    return tuple(step for step in steps if step <= max(interval, widest))


class IntervalLadder:
    """Where the interval stands; moved by one observation a period."""

    def __init__(self, intervals: Sequence[float]) -> None:
        """`intervals` in seconds, rising."""
        self._intervals = tuple(intervals)
        self.rung = 0
        """Index of the interval at which streams are updated."""
        self._late = 0
        self._calm = 0
        self._patience = CALM_PERIODS
        self._settling = 0
        self._on_trial = 0

    @property
    def interval(self) -> float:
        """Seconds between two updates of a stream."""
        return self._intervals[self.rung]

    @property
    def exhausted(self) -> bool:
        """Whether answers are late though the interval is the widest."""
        return self.rung + 1 == len(self._intervals) and self._late >= LATE_PERIODS

    def observe(self, period: Period) -> None:
        """Move up, down or not at all."""
        self._on_trial = max(self._on_trial - 1, 0)
        if self._settling:
            self._settling -= 1
            return
        if period.wait is None:
            return
        self._late = self._late + 1 if period.wait > LATE * self.interval else 0
        needed = self._calm_needed(period.wait, period.busy)
        self._calm = self._calm + 1 if needed else 0
        if self._late >= LATE_PERIODS:
            self._climb(period.wait)
        elif needed and self._calm >= needed:
            self._descend()

    def _calm_needed(self, wait: float, busy: float) -> int:
        """Return how many periods like this one allow to descend, 0 if none do."""
        if self.rung == 0:
            return 0
        narrower = self._intervals[self.rung - 1]
        expected = busy * self.interval / narrower
        if wait > EARLY * narrower or expected > PERHAPS:
            return 0
        return CALM_PERIODS if expected <= SURELY else self._patience

    def _climb(self, wait: float) -> None:
        if self.rung + 1 == len(self._intervals):
            return
        if self._on_trial:
            self._patience = min(2 * self._patience, MOST_CALM_PERIODS)
            self._on_trial = 0
            self._move(self.rung + 1)
            return
        wanted = min(wait / LATE, 2 * self.interval)
        higher = [rung for rung in range(self.rung + 1, len(self._intervals)) if self._intervals[rung] >= wanted]
        self._move(higher[0] if higher else len(self._intervals) - 1)

    def _descend(self) -> None:
        self._move(self.rung - 1)
        if self.rung == 0:
            self._patience = max(self._patience // 2, CALM_PERIODS)
        self._on_trial = TRIAL_PERIODS

    def _move(self, rung: int) -> None:
        self.rung = rung
        self._late = self._calm = 0
        self._settling = SETTLING_PERIODS
