"""Speech onset and offset with hysteresis, frame by frame.

Theory of operation. The endpointer is SILENT or SPEAKING and sees one probability per frame.

    SILENT    --speech fills onset_ms of the last onset_window_ms-->  SPEAKING   says Onset
    SPEAKING  --no speech for hangover_ms-->                          SILENT     says Offset
    SPEAKING  --cut (flush, end of stream)-->                         SILENT     says Offset

The onset lies pre_roll_ms before the first speech frame that counted, but never before the last offset: audio belongs
to one utterance at most. In SPEAKING one lone speech frame does not stop the hangover (detectors twitch in noise); two
in a row do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from model.types import SAMPLE_RATE
from streamer.config import EndpointConfig
from streamer.core.vad import FRAME_SAMPLES

SPEECH_PROBABILITY = 0.5
"""A frame at least this likely to hold speech counts as speech."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Speech began."""

    start: int
    """Sample index where the utterance's audio begins, pre-roll included."""
    detected: int
    """Sample index at which there was speech enough to say so."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Speech ended."""

    end: int
    """Sample index where the utterance's audio ends, hangover included."""
    speech_end: int
    """Sample index after the last speech frame."""


def frames(milliseconds: int) -> int:
    """Return how many frames cover that time, rounded up."""
    samples = milliseconds * SAMPLE_RATE // 1000
    return -(-samples // FRAME_SAMPLES)


def latest_onset(config: EndpointConfig) -> int:
    """Return how many samples of received audio may hold speech that no onset has been told of yet."""
    return (frames(config.onset_window_ms) + 1) * FRAME_SAMPLES  # the last frame may not be whole


def adjusted(config: EndpointConfig, hangover_ms: int | None, pre_roll_ms: int | None) -> EndpointConfig:
    """Return the settings with what one client wants instead; None leaves a setting as it is.

    Raises ConfigError for a time that cannot be.
    """
    return replace(
        config,
        hangover_ms=config.hangover_ms if hangover_ms is None else hangover_ms,
        pre_roll_ms=config.pre_roll_ms if pre_roll_ms is None else pre_roll_ms,
    )


class Endpointer:
    """Turns frame probabilities into utterance boundaries; pure, its clock is the frames it has seen."""

    def __init__(self, config: EndpointConfig) -> None:
        self._needed = frames(config.onset_ms)
        self._recent: deque[bool] = deque(maxlen=frames(config.onset_window_ms))
        self._pre_roll = self._hangover = 0
        self._position = 0
        self._last_end = 0
        self._speech_end = 0
        self._quiet = 0
        self._previous_speech = False
        self.speaking = False
        self.configure(config)

    def configure(self, config: EndpointConfig) -> None:
        """Take another pre-roll and hangover from now on; audio that was let go for the old pre-roll stays gone."""
        self._last_end = self.earliest_onset
        self._pre_roll = frames(config.pre_roll_ms) * FRAME_SAMPLES
        self._hangover = frames(config.hangover_ms)

    @property
    def earliest_onset(self) -> int:
        """Sample index before which no future utterance can start: older audio is decided to be silence."""
        reach = len(self._recent) * FRAME_SAMPLES + self._pre_roll
        return max(self._last_end, self._position - reach)

    def receive_frame(self, probability: float) -> Onset | Offset | None:
        """Take the next frame's speech probability; say whether an utterance starts or ends with it."""
        speech = probability >= SPEECH_PROBABILITY
        self._position += FRAME_SAMPLES
        return self._while_speaking(speech) if self.speaking else self._while_silent(speech)

    def _while_silent(self, speech: bool) -> Onset | None:
        self._recent.append(speech)
        if sum(self._recent) < self._needed:
            return None
        return self._begin()

    def _begin(self) -> Onset:
        """Start an utterance at the first speech frame of the recent ones, less the pre-roll."""
        first = self._position - (len(self._recent) - list(self._recent).index(True)) * FRAME_SAMPLES
        self._recent.clear()
        self.speaking = True
        self._quiet, self._previous_speech = 0, True
        self._speech_end = self._position
        return Onset(max(self._last_end, first - self._pre_roll), self._position)

    def _while_speaking(self, speech: bool) -> Offset | None:
        self._quiet += 1
        if speech:
            if self._previous_speech:
                self._quiet = 0
            self._speech_end = self._position
        self._previous_speech = speech
        if speech or self._quiet < self._hangover:
            return None
        return self._finish(self._position)

    def cut(self, at: int) -> tuple[Onset | None, Offset | None]:
        """End what is going on at sample `at`, which may lie up to a frame beyond the last one seen.

        Speech too short for an onset yet is taken as an utterance all the same, so that a flush loses nothing.
        """
        onset = None
        if not self.speaking and any(self._recent):
            onset = self._begin()
        self._recent.clear()
        offset = self._finish(at) if self.speaking else None
        self._last_end = max(self._last_end, at)
        return onset, offset

    def skip_to(self, position: int) -> None:
        """Go on at a later sample, as if nothing had been heard before it; what was going on must have been cut."""
        assert not self.speaking, "speech is cut before it is skipped"
        self._recent.clear()
        self._position = self._last_end = position

    def _finish(self, at: int) -> Offset:
        self.speaking = False
        self._last_end = at
        return Offset(at, min(self._speech_end, at))
