"""Where the daemon listens and what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.config.check import require


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the daemon listens and what it allows."""

    host: str = "127.0.0.1"
    """Address to bind; beyond loopback a token or --server.insecure is required."""
    port: int = 8765
    """TCP port; 0 takes a free one and prints it."""
    token: str = ""
    """Bearer token that clients must send, or its digest, which `streamer token` makes; empty asks for none."""
    token_file: Path | None = None
    """File that holds the token (a systemd credential, for example), or several, one a line."""
    watch_token: str = ""
    """Token that lets watch captions and nothing else, in the same form; server.token lets watch too."""
    watch_token_file: Path | None = None
    """File that holds it, or several."""
    admin_token: str = ""
    """Token for /metrics and /v1/sessions, in the same form; without one they are told to this machine only."""
    admin_token_file: Path | None = None
    """File that holds it, or several."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain: the port speaks TLS then, and nothing else. Read again on change."""
    tls_key: Path | None = None
    """PEM file with the private key, unencrypted, if it is not in the certificate's."""
    insecure: bool = False
    """Allow binding beyond loopback without a token."""
    max_sessions: int = 64
    """Streams at once; one more is refused with 1013."""
    max_connections: int = 0
    """Connections at once, of whatever kind; one more is dropped; 0: as many as sessions and viewers can need."""
    max_connections_per_address: int = 256
    """The same from one address (IPv6: from one /64) that is not this machine's; 0 sets no bound."""
    max_handshakes_per_address: int = 64
    """Of those, connections that have not asked for anything yet; 0 sets no bound."""
    max_load: float = 0.9
    """Share of its time the device may be needed at the widest update interval; beyond it 1013 too; 0 sets no bound."""
    max_message_bytes: int = 1_048_576
    """Largest WebSocket message; a larger one closes with 1009. Where audio is base64, /v1/realtime: 24 MiB."""
    open_timeout_s: float = 10.0
    """Time to the first message after connecting."""
    idle_timeout_s: float = 300.0
    """Longest time without a message from a client before it is closed with 1008; pings are none; 0 allows any."""
    send_timeout_s: float = 10.0
    """Time a client has to take a message before it is cut."""
    drain_timeout_s: float = 10.0
    """Time running sessions have to finish after SIGTERM."""
    resume_s: float = 120.0
    """Time a resumable session waits for a client that was lost before it is decided; 0 lets none be resumed."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("server.port", self.port, 0, 65_535)
        require("server.max_sessions", self.max_sessions, 1, 100_000)
        require("server.max_connections", self.max_connections, 0, 1_000_000)
        require("server.max_connections_per_address", self.max_connections_per_address, 0, 1_000_000)
        require("server.max_handshakes_per_address", self.max_handshakes_per_address, 0, 1_000_000)
        require("server.max_load", self.max_load, 0, 10)
        require("server.max_message_bytes", self.max_message_bytes, 4_096, 64 * 1_048_576)
        require("server.open_timeout_s", self.open_timeout_s, 0.05, 3600)
        require("server.idle_timeout_s", self.idle_timeout_s, 0, 86_400)
        require("server.send_timeout_s", self.send_timeout_s, 0.05, 3600)
        require("server.drain_timeout_s", self.drain_timeout_s, 0, 3600)
        require("server.resume_s", self.resume_s, 0, 86_400)
