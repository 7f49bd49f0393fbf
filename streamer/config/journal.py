"""What committed text survives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streamer.config.check import ConfigError, require


class Durability(StrEnum):
    """What text that was told survives."""

    FULL = "full"
    """A power cut: it is on the disk before it is told."""
    NORMAL = "normal"
    """The end of the daemon, however sudden; a power cut may take the last seconds."""
    MEMORY = "memory"
    """A lost connection; nothing is written to a disk."""


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Where the text of resumable sessions is kept, and how long."""

    path: Path | None = None
    """SQLite file; without one the text is kept in memory only, and a session does not outlive the daemon."""
    durability: Durability = Durability.FULL
    """full, normal or memory."""
    retention_s: float = 3600.0
    """Time after which the text of a session that nobody has come back to is deleted."""
    max_bytes: int = 268_435_456
    """Size beyond which the oldest sessions that are not open are deleted early."""

    def __post_init__(self) -> None:
        """Check the path and ranges."""
        if self.path is not None and not self.path.name:
            raise ConfigError(f"journal.path must name a file, got {str(self.path)!r}; leave it out to use none")
        require("journal.retention_s", self.retention_s, 0, 366 * 86_400)
        require("journal.max_bytes", self.max_bytes, 1_048_576, 1 << 40)
