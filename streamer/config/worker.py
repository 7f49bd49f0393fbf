"""The process that recognises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamer.config.check import require


class WorkerProcess(StrEnum):
    """Where the recognizer runs."""

    CHILD = "child"
    """In a process of its own, which is started again when it dies or hangs."""
    OWN = "own"
    """In the daemon's, which ends with it."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The process that recognises, and how long it may keep silent."""

    process: WorkerProcess = WorkerProcess.CHILD
    """child: the daemon outlives a recognizer that crashes or hangs; own: both are one process."""
    heartbeat_timeout_s: float = 5.0
    """Without a sign of life the process is killed and started again; it gives two a second."""
    batch_timeout_s: float = 120.0
    """Longest a batch may take; one that takes 20 times what is usual, and 10 s, is given up before."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("worker.heartbeat_timeout_s", self.heartbeat_timeout_s, 1, 3600)
        require("worker.batch_timeout_s", self.batch_timeout_s, 1, 3600)
