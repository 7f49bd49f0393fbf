"""Whole recordings through `generate`, with the demo model."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from model.errors import ModelError
from model.files.hub import demo_folder
from model.transcriber import WhisperTranscriber
from model.types import SAMPLE_RATE, Task, Transcription, Word
from tests.digits import errors, needs_recordings, say

pytestmark = pytest.mark.skipif(
    not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights"
)


@cache
def transcriber() -> WhisperTranscriber:
    return WhisperTranscriber.load("demo", "cpu", threads=1, offline=True)


def words(transcription: Transcription) -> tuple[Word, ...]:
    return tuple(word for segment in transcription.segments for word in segment.words)


def names(transcription: Transcription) -> list[str]:
    return [word.text.strip().casefold() for word in words(transcription)]


@cache
def scene():
    """More than half a minute and a few seconds, transcribed at once, and what was told of the progress."""
    spoken = [say("george", 36, 7, every=4), say("jackson", 6, 3)]
    told: list[tuple[int, ...]] = []
    found = transcriber().transcribe([one.audio for one in spoken], language="en", progress=told.append)
    return spoken, found, told


@needs_recordings
def test_recordings_of_different_length_are_transcribed_at_once():
    spoken, found, _ = scene()
    assert len(spoken[0].audio) > 32 * SAMPLE_RATE
    for said, heard in zip(spoken, found, strict=True):
        assert heard.end == len(said.audio)
        assert errors(names(heard), list(said.words)) <= 0.15 * len(said.words)


@needs_recordings
def test_words_of_all_windows_are_in_order_and_have_their_times():
    spoken, found, _ = scene()
    wrong = []
    for said, heard in zip(spoken, found, strict=True):
        assert all(a.end <= b.start for a, b in pairwise(words(heard)))
        assert all(s.start <= s.words[0].start and s.words[-1].end <= s.end <= heard.end for s in heard.segments)
        if names(heard) == list(said.words):
            for word, (start, end) in zip(words(heard), said.spans, strict=True):
                wrong += [abs(word.start - start), abs(word.end - end)]
    assert wrong
    assert np.median(wrong) <= 0.03 * SAMPLE_RATE


@needs_recordings
def test_words_have_probabilities():
    _, found, _ = scene()
    chances = [word.probability for heard in found for word in words(heard)]
    assert all(0 < chance <= 1 for chance in chances)
    assert len(set(chances)) > 1


@needs_recordings
def test_progress_is_told_and_never_goes_back():
    spoken, _, told = scene()
    assert len(told) > 1
    assert all(before <= after for one, other in pairwise(told) for before, after in zip(one, other, strict=True))
    assert all(place <= len(said.audio) for one in told for place, said in zip(one, spoken, strict=True))


@needs_recordings
def test_a_neighbour_changes_nothing():
    spoken, found, _ = scene()
    (alone,) = transcriber().transcribe([spoken[1].audio], language="en")
    assert names(alone) == names(found[1])


@needs_recordings
def test_a_language_that_nobody_named_is_heard():
    (heard,) = transcriber().transcribe([say("jackson", 3, 3).audio])
    assert heard.language == "en"


@pytest.mark.parametrize("seconds", [0.0, 0.1, 5.0])
def test_nothing_is_said_in_silence(seconds):
    (heard,) = transcriber().transcribe([np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32)], language="en")
    assert heard == Transcription((), "en", int(seconds * SAMPLE_RATE))


@needs_recordings
def test_a_prompt_does_no_harm():
    spoken = say("jackson", 6, 3)
    (heard,) = transcriber().transcribe([spoken.audio], language="en", prompt="Digits, spoken in a quiet room.")
    assert errors(names(heard), list(spoken.words)) <= 1


def test_a_language_the_model_does_not_know_is_refused():
    with pytest.raises(ModelError, match=r"language must be one of .*, got 'xx'"):
        transcriber().transcribe([np.zeros(SAMPLE_RATE, dtype=np.float32)], language="xx")


@pytest.mark.parametrize("audio", [np.zeros((2, 5), dtype=np.float32), np.zeros(5)])
def test_audio_of_another_shape_or_type_is_refused(audio):
    with pytest.raises(ValueError, match=r"audio must be \(n,\) float32"):
        transcriber().transcribe([audio], task=Task.TRANSCRIBE)


@pytest.mark.parametrize(("conditioned", "told"), [(True, True), (False, False), (None, False)])
def test_windows_are_told_the_text_before_them_if_that_is_wanted_or_helps_the_model(monkeypatch, conditioned, told):
    one = WhisperTranscriber.load("demo", "cpu", threads=1, offline=True, conditioned=conditioned)
    asked = {}
    monkeypatch.setattr(one._network, "generate", lambda **options: asked.update(options) or {"segments": [[]]})
    one.transcribe([np.zeros(SAMPLE_RATE, dtype=np.float32)], language="en")

    assert asked["condition_on_prev_tokens"] is told
