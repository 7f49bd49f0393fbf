"""What may be uploaded to be transcribed."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.config.check import require


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """What may be uploaded to be transcribed."""

    max_upload_bytes: int = 268_435_456
    """Largest file; a larger one is refused with 413."""
    max_audio_s: float = 14_400.0
    """Longest recording, as decoded; a longer one is refused with 413."""
    max_files: int = 4
    """Files at once, on their way in or being transcribed; one more is refused with 429; 0 takes none: 403."""
    upload_timeout_s: float = 600.0
    """Time a file has to come in; beyond it, or after server.open_timeout_s without a byte, 408."""
    decode_timeout_s: float = 120.0
    """Time a process of its own may take to decompress a file, and then each second of it; beyond it 413."""
    hangover_ms: int = 1_000
    """Silence that divides a recording: the longer, the more is heard at once, up to 30 s."""
    strict_model: bool = False
    """Refuse requests for a model that is not loaded with 404, rather than serve them with the one that is."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("http.max_upload_bytes", self.max_upload_bytes, 1_024, 1 << 40)
        require("http.max_audio_s", self.max_audio_s, 1, 1_000_000)
        require("http.max_files", self.max_files, 0, 1_024)
        require("http.upload_timeout_s", self.upload_timeout_s, 0.05, 86_400)
        require("http.decode_timeout_s", self.decode_timeout_s, 0.05, 86_400)
        require("http.hangover_ms", self.hangover_ms, 60, 10_000)
