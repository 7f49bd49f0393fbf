"""Voice activity on real recordings."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.config import EndpointConfig
from streamer.core.endpoint import Endpointer, Offset, Onset
from streamer.core.vad import FRAME_SAMPLES, WebRtcVad
from tests.digits import SPEAKERS, needs_recordings, say


def utterances(audio: np.ndarray) -> list[tuple[int, int]]:
    """Return where the default detector and endpointer hear utterances."""
    config = EndpointConfig()
    vad, endpointer = WebRtcVad(config.vad_aggressiveness), Endpointer(config)
    found, start = [], 0
    for position in range(0, len(audio) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        change = endpointer.receive_frame(vad(audio[position : position + FRAME_SAMPLES]))
        if isinstance(change, Onset):
            start = change.start
        if isinstance(change, Offset):
            found.append((start, change.end))
    return found


@needs_recordings
@pytest.mark.parametrize("gain", [1.0, 0.05])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_every_spoken_word_lies_within_an_utterance(speaker, gain):
    said = say(speaker, 15, seed=8, pauses=(0.1, 1.0))
    noise = np.random.default_rng(0).standard_normal(len(said.audio)).astype(np.float32) * 1e-5
    found = utterances(said.audio * np.float32(gain) + noise)

    missed = [span for span in said.spans if not any(start <= span[0] and span[1] <= end for start, end in found)]
    assert len(missed) <= 1


def test_silence_is_no_speech_and_steady_noise_is_not_once_the_detector_knows_it():
    noise = np.random.default_rng(0).standard_normal(20 * 16_000).astype(np.float32)

    assert utterances(np.zeros(20 * 16_000, np.float32)) == []
    assert all(end <= 16_000 for _, end in utterances(noise * np.float32(1e-4)))


def test_loud_samples_beyond_one_do_not_wrap_around():
    loud = np.full(FRAME_SAMPLES, 3.0, np.float32)

    assert WebRtcVad(1)(loud) == WebRtcVad(1)(np.ones(FRAME_SAMPLES, np.float32))
