"""How long a child may be silent, how long it may load, and how long a batch may take."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from streamer.config import WorkerConfig

LOADING_S = 120.0
"""Without a beat while the model loads: libraries are loaded under Python's lock, from a disk that may be slow."""
LEAST_LOAD_S, MOST_LOAD_S = 120.0, 600.0
TIMES_FIRST = 4.0
"""Loading the model again may take so much longer than the slowest load so far. The first has all the time there is: it
may download the model, and somebody looks on."""
LEAST_BATCH_S = 10.0
TIMES_USUAL = 20.0
"""A batch may take so much longer than the slowest of late, for its size."""
FADING = 0.99
"""By which the slowest of late fades with each batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds."""

    heartbeat_s: float = 5.0
    """Without a beat."""
    loading_s: float = LOADING_S
    """Without a beat, while the model loads."""
    least_load_s: float = LEAST_LOAD_S
    """For loading the model again, at least, however fast it was before."""
    batch_s: float = 120.0
    """For a batch, at most."""
    least_batch_s: float = LEAST_BATCH_S
    """For a batch, at least, however fast they are as a rule."""

    @classmethod
    def of(cls, config: WorkerConfig) -> Limits:
        """Take what is set."""
        longest = config.batch_timeout_s
        return cls(config.heartbeat_timeout_s, batch_s=longest, least_batch_s=min(LEAST_BATCH_S, longest))


class BatchAllowance:
    """Learns from the batches before how long one may take."""

    def __init__(self, limits: Limits) -> None:
        """Know nothing: the first batch has all the time there is."""
        self._limits = limits
        self._slowest: float | None = None
        self._overdue = 0

    def seconds(self, work: float) -> float:
        """Return what a batch is given, for its work in seconds of audio (`streamer.recognition.batch.work`)."""
        if self._slowest is None:
            return self._limits.batch_s
        usual = max(TIMES_USUAL * self._slowest * work, self._limits.least_batch_s)
        return min(usual * float(2**self._overdue), self._limits.batch_s)

    def learn(self, work: float, seconds: float) -> None:
        """Take note of a batch that was answered."""
        self._overdue = 0
        self._slowest = max((self._slowest or 0.0) * FADING, seconds / work)

    def miss(self) -> None:
        """Take note of one that was not: the next has twice the time, in case the machine is only slow."""
        self._overdue = min(self._overdue + 1, 10)


class LoadAllowance:
    """Learns from the loads before how long the next may take."""

    def __init__(self, limits: Limits) -> None:
        """Know nothing: the first load has all the time there is."""
        self._least = limits.least_load_s
        self._slowest: float | None = None
        self._overdue = 0

    @property
    def seconds(self) -> float:
        """What the next load is given."""
        if self._slowest is None:
            return inf
        usual = min(max(TIMES_FIRST * self._slowest, self._least), max(MOST_LOAD_S, self._least))
        return usual * float(2**self._overdue)

    def learn(self, seconds: float) -> None:
        """Take note of a load that came to its end."""
        self._overdue = 0
        self._slowest = max(self._slowest or 0.0, seconds)

    def miss(self) -> None:
        """Take note of one that did not: the next has twice the time, in case the disk is only slow."""
        self._overdue = min(self._overdue + 1, 10)
