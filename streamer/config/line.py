"""The line protocol's port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.config.check import ConfigError, require


@dataclass(frozen=True, slots=True)
class LineConfig:
    """whisper_streaming's line protocol: samples in, lines out, on server.host."""

    enabled: bool = False
    """Serve it. It knows no token: beyond loopback server.insecure is required, whatever server.token is."""
    port: int = 43_007
    """TCP port of its own; 0 takes a free one."""
    language: str = ""
    """Code of what is spoken, for clients cannot say; empty: it is heard."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("line.port", self.port, 0, 65_535)

    def check_language(self, known: Sequence[str]) -> None:
        """Raise ConfigError for a language that a model does not have; for where the protocol is served."""
        if self.language and self.language not in known:
            raise ConfigError(f"line.language must be one of {', '.join(sorted(known))}, got {self.language!r}")
