"""When speech starts and ends."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.config.check import require


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """When speech starts and ends."""

    vad_aggressiveness: int = 1
    """WebRTC VAD mode: 0 lets most sound pass, 3 the least."""
    onset_ms: int = 90
    """Speech needed within the onset window before an utterance starts."""
    onset_window_ms: int = 240
    """Length of the window in which onset_ms of speech must fall."""
    pre_roll_ms: int = 400
    """Audio kept from before the onset."""
    hangover_ms: int = 500
    """Silence after which the utterance is finalised."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require("endpoint.vad_aggressiveness", self.vad_aggressiveness, 0, 3)
        require("endpoint.onset_ms", self.onset_ms, 30, 1000)
        require("endpoint.onset_window_ms", self.onset_window_ms, self.onset_ms, 2000)
        require("endpoint.pre_roll_ms", self.pre_roll_ms, 0, 5000)
        require("endpoint.hangover_ms", self.hangover_ms, 60, 10_000)
