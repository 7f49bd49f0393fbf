"""Children that did not live to the end of their file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamer.processes.children import ending, fate


class Cause(StrEnum):
    """A closed set, for metrics."""

    KILLED = "killed"
    """By SIGKILL that was not ours: the kernel short of memory, or somebody."""
    CRASHED = "crashed"
    """By another signal."""
    EXITED = "exited"
    """It ended by itself without a word."""
    MEMORY = "memory"
    """It wanted more than it may have."""
    FAILED = "failed"
    """Its program raised an exception."""
    SILENT = "silent"
    """It did not take its file."""
    GARBLED = "garbled"
    """It said what cannot be."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The end of a child that had something to do."""

    cause: Cause
    detail: str
    """Part of a sentence, for people."""
    story: str = ""
    """Its traceback or last words, if there are any."""


class DecoderLostError(Exception):
    """A child is gone."""

    def __init__(self, loss: Loss) -> None:
        """Say why."""
        super().__init__(loss.detail)
        self.loss = loss


def loss_of(status: int | None, story: str) -> Loss:
    """Explain an exit status as `subprocess` gives it; None if it is not known."""
    return Loss(Cause(fate(status)), ending(status), story)
