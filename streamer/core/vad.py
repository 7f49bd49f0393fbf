"""Voice activity: how likely a frame holds speech."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import webrtcvad

from model.types import SAMPLE_RATE, Samples

FRAME_SAMPLES = 480
"""One VAD step: 30 ms, the longest WebRTC's detector takes and a whole number of log-mel hops."""


class VoiceActivityDetector(Protocol):
    """One detector per stream: it may adapt to the stream's noise."""

    def __call__(self, frame: Samples) -> float:
        """Return the probability in [0, 1] that `frame`, FRAME_SAMPLES float32 in [-1, 1], holds speech."""
        ...


class WebRtcVad:
    """WebRTC's Gaussian mixture detector (webrtcvad): 0.11 ms a second of audio, and no model to load."""

    def __init__(self, aggressiveness: int) -> None:
        """Aggressiveness 0 lets most sound pass as speech, 3 the least; the library raises ValueError for others."""
        self._detector = webrtcvad.Vad(aggressiveness)

    def __call__(self, frame: Samples) -> float:
        """Return 1.0 for speech and 0.0 otherwise: the library only decides."""
        pcm = (np.clip(frame, -1.0, 1.0) * 32_767.0).astype("<i2").tobytes()
        return 1.0 if self._detector.is_speech(pcm, SAMPLE_RATE) else 0.0
