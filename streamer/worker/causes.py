"""Why a child was lost."""

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
    HUNG = "hung"
    """It gave no sign of life."""
    OVERDUE = "overdue"
    """A batch, or loading the model again, took far too long."""
    MEMORY = "memory"
    """One request alone did not fit into memory."""
    DEVICE = "device"
    """The device failed in a way that only a new process mends."""
    FAILING = "failing"
    """Every request failed."""
    REFUSED = "refused"
    """The model could not be loaded again."""
    GARBLED = "garbled"
    """It said what cannot be understood."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The end of a child that should have lived."""

    cause: Cause
    detail: str
    """One line for people."""
    traceback: str = ""
    """Of the child, if it could tell."""


def loss_of(status: int | None) -> Loss:
    """Explain an exit status as `subprocess` gives it; None if it is not known."""
    return Loss(Cause(fate(status)), ending(status))
