"""Whether a child still does what it should, judged by what was heard of it. Pure: told the time, never reads it.

Theory of operation. A child has to beat, to load its model and to answer its batch, each within a time of its own. A
beat says that its interpreter runs, no more: a load that hangs in a call without Python's lock beats for ever, and so
does a batch; hence both have deadlines. A parent that was stopped, or busy, has heard nothing meanwhile, and blames
nobody for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from streamer.worker.causes import Cause, Loss
from streamer.worker.limits import Limits


@dataclass(slots=True)
class _Batch:
    """One that is with the child."""

    size: int
    allowed_s: float
    deadline: float


class Vigil:
    """Over one child. Times are seconds of one clock."""

    def __init__(self, now: float, limits: Limits, load_s: float = inf) -> None:
        """Begin as its process is started; `load_s` is what it is given to load the model."""
        self.heard = now
        """When it last gave a sign of life."""
        self.loaded = False
        """Whether it has loaded the model."""
        self._began = now
        self._limits = limits
        self._load_s = load_s
        self._batch: _Batch | None = None

    @property
    def pause(self) -> float:
        """Seconds between two looks: several before anything can be over."""
        return min(self._limits.heartbeat_s, self._limits.least_batch_s) / 10

    def hear(self, now: float) -> None:
        """Take note of a sign of life."""
        self.heard = now

    def load(self, now: float) -> float:
        """Take note that it has loaded the model; return how long that took, in seconds."""
        self.loaded = True
        return now - self._began

    def begin(self, now: float, size: int, allowed_s: float) -> None:
        """Take note of a batch of `size` rows that it is given, and of what it is given for it."""
        self._batch = _Batch(size, allowed_s, now + allowed_s)

    def end(self) -> None:
        """Take note that nothing more is expected of the batch."""
        self._batch = None

    def excuse(self, now: float, seconds: float) -> None:
        """Leave out a time in which nothing it said can have been heard."""
        self.heard = min(self.heard + seconds, now)
        self._began = min(self._began + seconds, now)
        if self._batch is not None:
            self._batch.deadline += seconds

    def verdict(self, now: float) -> Loss | None:
        """Return why it is to be killed, or None while it is well."""
        silence = now - self.heard
        if silence > (self._limits.heartbeat_s if self.loaded else self._limits.loading_s):
            return Loss(Cause.HUNG, f"it gave no sign of life for {silence:.1f} s")
        if not self.loaded and now - self._began > self._load_s:
            return Loss(Cause.OVERDUE, f"it took more than {self._load_s:.1f} s to load the model again")
        if self._batch is not None and now > self._batch.deadline:
            return Loss(Cause.OVERDUE, f"a batch of {self._batch.size} took more than {self._batch.allowed_s:.1f} s")
        return None
