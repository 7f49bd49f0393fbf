"""What the daemon says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamer.config.check import ConfigError


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the daemon says about itself."""

    level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR. Transcripts appear at DEBUG only."""
    format: LogFormat = LogFormat.CONSOLE
    """console or json."""

    def __post_init__(self) -> None:
        """Check the level."""
        if self.level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ConfigError(f"log.level must be DEBUG, INFO, WARNING or ERROR, got {self.level!r}")
