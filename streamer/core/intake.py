"""Audio on its way in: kept for as long as somebody may ask for it, cut into frames, and heard for speech."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.types import HOP, Samples
from streamer.config import EndpointConfig
from streamer.core.endpoint import Endpointer, Offset, Onset, adjusted
from streamer.core.vad import FRAME_SAMPLES, VoiceActivityDetector
from streamer.core.window import AudioWindow


class Intake:
    """Turns a stream of samples into onsets and offsets of speech; its clock is what it has received."""

    def __init__(self, config: EndpointConfig, vad: VoiceActivityDetector) -> None:
        self.window = AudioWindow()
        self._config = config
        self._endpointer = Endpointer(config)
        self._vad = vad
        self.framed = 0
        """Samples that the detector has heard: whole frames."""

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self.window.end

    @property
    def decided(self) -> int:
        """Sample index before which no speech to come can begin."""
        return self._endpointer.earliest_onset

    def adjust(self, hangover_ms: int | None, pre_roll_ms: int | None) -> None:
        """Take other times from now on; None: the ones of the settings. Raises ConfigError for one that cannot be."""
        self._endpointer.configure(adjusted(self._config, hangover_ms, pre_roll_ms))

    def receive(self, samples: Samples) -> Iterator[Onset | Offset]:
        """Take the next samples, (n,) float32, and yield where speech begins and ends, as soon as it is known.

        Raises ValueError for another shape or type.
        """
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise ValueError(f"audio must be (n,) float32, got {samples.shape} {samples.dtype}")
        self.window.append(samples)
        while self.framed + FRAME_SAMPLES <= self.window.end:
            frame = self.window.read(self.framed, self.framed + FRAME_SAMPLES)
            self.framed += FRAME_SAMPLES
            change = self._endpointer.receive_frame(self._vad(frame))
            if change is not None:
                yield change

    def cut(self) -> Iterator[Onset | Offset]:
        """Yield what ends the speech that is going on, if any, at the last sample received."""
        yield from (change for change in self._endpointer.cut(self.received) if change is not None)

    def skip(self, count: int) -> None:
        """Go on `count` samples later; speech that was going on must have been cut."""
        self.window.skip(count)
        self.framed = self.window.end
        self._endpointer.skip_to(self.framed)

    def forget(self, wanted: int | None) -> None:
        """Let go of what lies before `wanted`; None: of what no speech to come can reach back to."""
        oldest = self._endpointer.earliest_onset if wanted is None else wanted
        self.window.trim(min(oldest - oldest % HOP, self.framed))
