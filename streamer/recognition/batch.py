"""What a batch was, for those who count; and how large the next one may be.

Theory of operation of the bound. On a CPU a batch of eight windows costs per window what one of thirty costs, so rows
beyond that only make everybody wait for the last of them; on a GPU the cost of a row falls far longer. So a batch is
bounded by time rather than by rows: the device's speed, seconds per second of audio, is learnt from the batches before,
and no more is taken than fits. The time allowed grows with the update interval (`governor.py`): a crowded device is
given larger batches, where it has something to gain from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from streamer.recognition.lanes import Lane

FEWEST_ROWS = 4
"""Taken together however slow the device is: up to here a row more always costs less than a batch more."""
FIXED_S = 2.0
"""A window costs what it costs with no audio in it (silence after the audio, the decoder's steps) and then in
proportion to its audio; measured with the demo model, that is as much as 2 to 3 s of audio. Where positions are used
again a long window costs less than that says, and a batch is done sooner."""
WEIGHT = 0.2
"""Of the latest batch in the average."""
SLOW_SHARE = 4
"""A batch that is not of the fast lane has at most this part of the rows: it goes between the others' batches."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One that was decoded."""

    lane: Lane
    hypotheses: tuple[Hypothesis, ...]
    seconds: float
    """Of device time."""
    waits: tuple[float, ...]
    """Seconds from when each request was due, or made known if later, to its answer; negative if it was not yet due."""
    due: float
    """Share of the rows, in [0, 1], that were due: the others are of clients ahead of real time, and can wait."""


class EngineObserver(Protocol):
    """Hears what the engine did."""

    def batch_done(self, batch: Batch) -> None:
        """Take note of a batch of which something came."""
        ...

    def batch_failed(self, size: int) -> None:
        """Take note that a batch of `size` rows raised."""
        ...


class BatchBound:
    """Says when a batch is large enough."""

    def __init__(self, max_rows: int) -> None:
        """`max_rows` is never exceeded."""
        self._max_rows = max_rows
        self._speed: float | None = None

    def learn(self, requests: Sequence[DecodeRequest], seconds: float) -> None:
        """Take note of what a batch took."""
        speed = seconds / sum(map(work, requests))
        self._speed = speed if self._speed is None else (1 - WEIGHT) * self._speed + WEIGHT * speed

    def reached(self, requests: Sequence[DecodeRequest], seconds: float, lane: Lane) -> bool:
        """Say whether a batch of these is to have no more rows, if it should take no longer than `seconds`."""
        share = 1 if lane is Lane.FAST else SLOW_SHARE
        rows = max(self._max_rows // share, 1)
        if len(requests) >= rows or self._speed is None:
            return len(requests) >= rows
        fewest = max(FEWEST_ROWS // share, 1)
        return len(requests) >= fewest and self._speed * sum(map(work, requests)) >= seconds / share


def work(request: DecodeRequest) -> float:
    """Return what a request costs, in seconds of audio."""
    return FIXED_S + len(request.audio) / SAMPLE_RATE
