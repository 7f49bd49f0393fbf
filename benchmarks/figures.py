"""From the outcomes of a system to the figures of a row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.delays import percentile
from benchmarks.outcome import Delay, Outcome

DRAWS = 2000
"""Resamples for an interval."""
PERCENTS = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the 95 % interval it lies in."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles 50, 95 and 99 of delays, in seconds."""

    aware: tuple[float, float, float]
    unaware: tuple[float, float, float]

    @classmethod
    def of(cls, delays: Sequence[Delay]) -> Self | None:
        """Take them, by nearest rank; None if there are no delays."""
        if not delays:
            return None
        aware, unaware = [delay.aware for delay in delays], [delay.unaware for delay in delays]
        return cls(_percentiles(aware), _percentiles(unaware))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one system on some streams."""

    minutes: float
    spoken: int
    errors: int
    error_rate: Interval
    """Word error rate against what was said."""
    offline_errors: int
    excess: Interval
    """Relative difference to the offline word error rate: 0.02 is two in a hundred more errors."""
    difference: float
    """Word error rate against the offline result, as if that were the truth."""
    shown: Spread | None
    committed: Spread | None
    final: Spread | None
    finals: int
    rewrites: int
    erasure: float
    """Words taken back per word of the final text."""
    lost: float
    """Words an hour."""
    dropped: int
    """Words of those that had been shown."""
    doubled: float
    updates: float
    """Decodes per second of audio."""
    passes: float | None
    """Decoder passes per second of audio; None for a system that does not count them."""
    busy: float
    """CPU seconds per second of audio."""
    lateness: float
    """Seconds that an answer came after its audio, at worst."""


def summarise(outcomes: Sequence[Outcome]) -> Figures:
    """Sum up. Raises ValueError if there is nothing, or nothing was said."""
    blocks = np.array([(b.spoken, b.errors, b.offline_errors) for o in outcomes for b in o.blocks])
    if not len(blocks):
        raise ValueError("no outcomes to sum up, or nothing was said in them")
    seconds = sum(outcome.seconds for outcome in outcomes)
    spoken, errors, offline = (int(total) for total in blocks.sum(axis=0))
    drawn = np.random.default_rng(0).integers(len(blocks), size=(DRAWS, len(blocks)))
    sums = blocks[drawn].sum(axis=1)
    passes = [outcome.passes for outcome in outcomes]
    return Figures(
        minutes=seconds / 60,
        spoken=spoken,
        errors=errors,
        error_rate=_interval(errors / spoken, sums[:, 1] / sums[:, 0]),
        offline_errors=offline,
        excess=_interval(errors / max(offline, 1) - 1, sums[:, 1] / np.maximum(sums[:, 2], 1) - 1),
        difference=sum(o.against_offline for o in outcomes) / max(sum(o.offline_words for o in outcomes), 1),
        shown=Spread.of([delay for outcome in outcomes for delay in outcome.shown]),
        committed=Spread.of([delay for outcome in outcomes for delay in outcome.committed]),
        final=Spread.of([delay for outcome in outcomes for delay in outcome.final]),
        finals=sum(len(outcome.final) for outcome in outcomes),
        rewrites=sum(outcome.rewrites for outcome in outcomes),
        erasure=sum(outcome.erased for outcome in outcomes) / max(sum(outcome.words for outcome in outcomes), 1),
        lost=sum(len(outcome.lost) for outcome in outcomes) / seconds * 3600,
        dropped=sum(len(outcome.dropped) for outcome in outcomes),
        doubled=sum(len(outcome.doubled) for outcome in outcomes) / seconds * 3600,
        updates=sum(outcome.updates for outcome in outcomes) / seconds,
        passes=None if None in passes else sum(count for count in passes if count is not None) / seconds,
        busy=sum(outcome.busy for outcome in outcomes) / seconds,
        lateness=max(outcome.lateness for outcome in outcomes),
    )


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, p99 = (percentile(values, percent) for percent in PERCENTS)
    return p50, p95, p99


def _interval(value: float, drawn: NDArray[np.floating[Any]]) -> Interval:
    """Put a figure between the percentiles of what was drawn (Efron 1979, the percentile bootstrap)."""
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(value, float(low), float(high))
