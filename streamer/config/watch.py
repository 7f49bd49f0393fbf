"""Who may look on."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.config.check import require


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """Who may look on, and what is kept for those who come late."""

    max_viewers: int = 512
    """Viewers at once, of all sessions; one more is refused with 1013 or 429; 0 lets nobody watch."""
    max_session_viewers: int = 256
    """The same for one session."""
    keep_s: float = 600.0
    """Time for which a session can be read after its end."""
    max_ended: int = 64
    """Ended sessions kept at most; for one more the one that ended first goes."""
    max_session_bytes: int = 4_194_304
    """Commits kept of a session, as JSON: hours of speech; of a longer one the first go, and what is shown says so."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("watch.max_viewers", self.max_viewers, 0, 100_000)
        require("watch.max_session_viewers", self.max_session_viewers, 0, 100_000)
        require("watch.keep_s", self.keep_s, 0, 604_800)
        require("watch.max_ended", self.max_ended, 0, 100_000)
        require("watch.max_session_bytes", self.max_session_bytes, 1_000, 1 << 30)
