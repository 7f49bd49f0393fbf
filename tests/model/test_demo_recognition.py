"""Recognition as a whole, with trained weights and real voices: the demo model on digits it was not trained on."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import transformers

from model.files.hub import demo_folder
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Word
from tests.digits import SPEAKERS, WORDS, clip, errors, needs_recordings, say

pytestmark = [
    needs_recordings,
    pytest.mark.skipif(not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights"),
]
STEP = 2 * SAMPLE_RATE // 5


@cache
def recognizer() -> WhisperRecognizer:
    return WhisperRecognizer.load("demo", "cpu", offline=True)


def names(words: tuple[Word, ...]) -> list[str]:
    return [word.text.strip().casefold() for word in words]


@cache
def scenes():
    """Sixteen utterances of 3 to 8 digits, answered in one batch."""
    spoken = [say(SPEAKERS[seed % 4], 3 + seed % 6, seed) for seed in range(16)]
    asked = [DecodeRequest(f"scene {i}", 0, one.audio, language="en", final=True) for i, one in enumerate(spoken)]
    answers = recognizer().transcribe(asked)
    for request in asked:
        recognizer().forget(request.stream)
    return list(zip(spoken, answers, strict=True))


def test_digits_are_heard():
    wrong = sum(errors(names(answer.words), list(spoken.words)) for spoken, answer in scenes())
    assert wrong <= 0.1 * sum(len(spoken.words) for spoken, _ in scenes())


def test_words_have_the_times_at_which_they_are_said():
    starts, ends = [], []
    for spoken, answer in scenes():
        if names(answer.words) == list(spoken.words):
            starts += [abs(word.start - start) for word, (start, _) in zip(answer.words, spoken.spans, strict=True)]
            ends += [abs(word.end - end) for word, (_, end) in zip(answer.words, spoken.spans, strict=True)]
    assert len(starts) > 40
    for found in (starts, ends):
        assert np.median(found) <= 0.020 * SAMPLE_RATE
        assert np.quantile(found, 0.9) <= 0.1 * SAMPLE_RATE


def test_the_last_hypothesis_is_most_of_the_next_one():
    """Every 0.4 s of new audio: what was heard is offered as a draft, and changes nothing but the cost."""
    drafted = accepted = passes = plain_passes = 0
    for spoken, _ in scenes()[:4]:
        audio, draft = spoken.audio, ()
        for end in range(STEP, len(audio), STEP):
            request = DecodeRequest("growing", 0, audio[:end], language="en")
            plain, guessed = recognizer().transcribe([request, replace(request, stream="other", draft=draft)])
            assert names(guessed.words) == names(plain.words)
            assert [(w.start, w.end) for w in guessed.words] == [(w.start, w.end) for w in plain.words]
            drafted += guessed.statistics.draft_tokens
            accepted += guessed.statistics.accepted_tokens
            passes += guessed.statistics.passes
            plain_passes += plain.statistics.passes
            draft = plain.segments
        recognizer().forget("growing")
        recognizer().forget("other")
    assert accepted >= 0.7 * drafted
    assert passes <= 0.6 * plain_passes


@pytest.mark.parametrize("name", ["two", "seven", "nine"])
def test_a_digit_said_five_times_is_heard_five_times(name):
    pause = np.zeros(SAMPLE_RATE // 5, dtype=np.float32)
    sounds = [clip(WORDS.index(name), "jackson", take)[0] for take in range(5)]
    audio = np.concatenate([pause, *[part for sound in sounds for part in (sound, pause)]])
    (answer,) = recognizer().transcribe([DecodeRequest("again", 0, audio, language="en", final=True)])
    recognizer().forget("again")
    assert errors(names(answer.words), [name] * 5) <= 1


@pytest.mark.parametrize("loudness", [0.0, 1e-4, 1e-2])
def test_no_word_is_heard_in_silence_or_noise(loudness):
    audio = (loudness * np.random.default_rng(5).standard_normal(3 * SAMPLE_RATE)).astype(np.float32)
    (answer,) = recognizer().transcribe([DecodeRequest("silence", 0, audio, language="en", final=True)])
    recognizer().forget("silence")
    assert names(answer.words) == []


@pytest.mark.filterwarnings("ignore")
def test_greedy_tokens_of_speech_equal_the_reference_s():
    """The same weights, the full context, timestamps: token by token."""
    reference = transformers.WhisperForConditionalGeneration.from_pretrained(demo_folder(), dtype=torch.float32)
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(demo_folder())
    ours = WhisperRecognizer.load("demo", "cpu", encoder_context="full", offline=True)
    for spoken, _ in scenes()[:2]:
        audio = spoken.audio
        features = extractor(audio, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        tokens = reference.eval().generate(
            features, language="en", task="transcribe", return_timestamps=True, max_new_tokens=100,
            force_unique_generate_call=True,
        )[0].tolist()  # fmt: skip
        (answer,) = ours.transcribe([DecodeRequest("reference", 0, audio, language="en")])
        ours.forget("reference")
        text = [token for token in tokens if token < 50257]
        assert [token for word in answer.words for token in word.tokens] == text
        stamps = [(token - 50364) * 320 for token in tokens if token >= 50364]
        assert [time for s in answer.segments for time in (s.start, s.end) if time is not None] == stamps
