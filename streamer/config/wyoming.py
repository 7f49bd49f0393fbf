"""Home Assistant's port."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.config.check import ConfigError, require


@dataclass(frozen=True, slots=True)
class WyomingConfig:
    """The protocol of Home Assistant's voice assistants, on server.host."""

    enabled: bool = False
    """Serve it. It knows no token: beyond loopback server.insecure is required, whatever server.token is."""
    port: int = 10_300
    """TCP port of its own; 0 takes a free one."""
    zeroconf: bool = False
    """Announce it on the local network, where Home Assistant looks for it; wants the package zeroconf."""
    name: str = "Streamer"
    """What it is announced as, once on a network."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("wyoming.port", self.port, 0, 65_535)
        if not 1 <= len(self.name.encode()) <= 63:  # RFC 6763, 4.1.1: one label
            raise ConfigError(f"wyoming.name must have 1 to 63 bytes in UTF-8, got {self.name!r}")
        if self.zeroconf and not self.enabled:
            raise ConfigError("wyoming.zeroconf announces what wyoming.enabled serves, and that is false")
