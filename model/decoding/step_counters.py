"""How steps of one token were made: by a graph, or why not."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Reason(StrEnum):
    """Why a step was made without a graph."""

    DEVICE = "device"
    """The device has none."""
    BATCH = "batch"
    """More rows than the largest graph has."""
    MEMORY = "memory"
    """The caches would take more than the arena may."""
    CAPTURE = "capture"
    """A capture has failed; none is tried again."""
    SAMPLING = "sampling"
    """Tokens are drawn, by each row's own generator."""


class StepCounters:
    """How steps of one token were made."""

    def __init__(self) -> None:
        """Start at zero."""
        self.replays = 0
        """Steps by a graph."""
        self.captures = 0
        self.evictions = 0
        """Graphs that gave way to others, or whose memory was moved."""
        self.unread = 0
        """Steps launched ahead that nobody read."""
        self.eager: Counter[Reason] = Counter()
        """Steps without a graph."""

    def values(self) -> dict[str, int]:
        """Return them by name, for metrics: `eager_<reason>` for each reason."""
        eager = {f"eager_{reason}": self.eager[reason] for reason in Reason}
        return {
            "replays": self.replays,
            "captures": self.captures,
            "evictions": self.evictions,
            "unread": self.unread,
        } | eager
