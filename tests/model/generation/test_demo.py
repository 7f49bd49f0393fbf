"""The embedded model, whose texts end and whose timestamps mean something, against the reference."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers

import model
from model.types import SAMPLE_RATE
from model.whisper import WhisperForConditionalGeneration
from tests.model.generation.sameness import both

ROOT = Path(__file__).parents[3]
DEMO, RECORDING = ROOT / "model" / "demo", ROOT / "clients" / "demo" / "digits.flac"
ENGLISH = {"language": "en", "task": "transcribe"}


@cache
def _networks():
    torch.set_num_threads(1)
    ours = WhisperForConditionalGeneration.from_pretrained(DEMO, dtype=torch.float32).eval()
    theirs = transformers.WhisperForConditionalGeneration.from_pretrained(DEMO, dtype=torch.float32).eval()
    return ours, theirs


@pytest.fixture
def networks():
    return _networks()


def speech(start: float, end: float) -> np.ndarray:
    """A piece of the recording, in seconds."""
    return soundfile.read(RECORDING, dtype="float32")[0][int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]


def noise(seconds: float, level: float = 0.02) -> np.ndarray:
    """White noise."""
    samples = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))
    return (level * samples).astype(np.float32)


def heard(*recordings: np.ndarray) -> dict[str, torch.Tensor]:
    """Features of recordings of any length, and their mask."""
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(DEMO)
    return dict(
        extractor(
            list(recordings), sampling_rate=SAMPLE_RATE, return_tensors="pt", truncation=False, padding="longest",
            return_attention_mask=True,
        )
    )  # fmt: skip


def test_a_long_batch_with_earlier_text(networks):
    silence = np.zeros(12 * SAMPLE_RATE, np.float32)
    inputs = heard(
        np.concatenate([speech(0, 9), silence, speech(9, 14), silence]), np.concatenate([speech(10, 19), noise(24)])
    )
    found, _ = both(
        networks, inputs["input_features"], attention_mask=inputs["attention_mask"], return_timestamps=True,
        return_segments=True, condition_on_prev_tokens=True, **ENGLISH,
    )  # fmt: skip

    assert all(len(segments) > 2 for segments in found["segments"])


def test_noise_is_tried_again_and_silence_skipped(networks):
    inputs = heard(np.concatenate([speech(0, 6), noise(27, 0.1), np.zeros(16 * SAMPLE_RATE, np.float32)]))
    both(
        networks, inputs["input_features"], return_timestamps=True, return_segments=True, seed=1,
        temperature=(0.0, 0.2, 0.6), compression_ratio_threshold=1.35, logprob_threshold=-0.4,
        no_speech_threshold=0.3, max_new_tokens=30, **ENGLISH,
    )  # fmt: skip


def test_times_of_tokens(networks):
    inputs = heard(speech(0, 6))
    padded = torch.nn.functional.pad(inputs["input_features"], (0, 3000 - inputs["input_features"].shape[-1]))
    found, _ = both(
        networks, padded, attention_mask=inputs["attention_mask"], return_token_timestamps=True, **ENGLISH
    )  # fmt: skip

    times = found["token_timestamps"][0]
    assert times.diff().min() >= 0
    assert 3 < times[-1] <= 6


def test_the_language_is_heard(networks):
    inputs = heard(speech(0, 4))
    ours, theirs = networks
    padded = torch.nn.functional.pad(inputs["input_features"], (0, 3000 - inputs["input_features"].shape[-1]))

    assert ours.detect_language(padded).tolist() == theirs.detect_language(padded).tolist()


@pytest.mark.parametrize("pieces", [((0, 22), (1, 19)), ((3, 9),), ((0, 21), (2, 20), (5, 9))])
def test_a_pipeline_s_chunks_have_the_times_of_the_reference(networks, pieces):
    audio = np.concatenate([speech(*piece) for piece in pieces])

    def example(package, network):
        processor = package.WhisperProcessor.from_pretrained(DEMO)
        parts = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor}
        recognize = package.pipeline("automatic-speech-recognition", model=network, **parts)
        return recognize(audio.copy(), return_timestamps=True, generate_kwargs=ENGLISH | {"num_beams": 1})

    assert example(model, networks[0]) == example(transformers, networks[1])


def test_a_pipeline_returns_chunks_where_the_configuration_asks_for_timestamps(networks, monkeypatch):
    found = []
    for package, network in zip((model, transformers), networks, strict=True):
        config = copy.deepcopy(network.generation_config)
        config.return_timestamps = True
        monkeypatch.setattr(network, "generation_config", config)
        processor = package.WhisperProcessor.from_pretrained(DEMO)
        parts = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor}
        recognize = package.pipeline("automatic-speech-recognition", model=network, **parts)
        found.append(recognize(speech(0, 2), return_timestamps=None, generate_kwargs=ENGLISH | {"num_beams": 1}))

    assert found[0] == found[1]
    assert found[0]["chunks"]


@pytest.mark.parametrize("max_length", [None, 448])
def test_a_pipeline_has_room_for_what_is_said_whatever_the_configuration_says(networks, monkeypatch, max_length):
    texts = []
    for package, network in zip((model, transformers), networks, strict=True):
        config = copy.deepcopy(network.generation_config)
        config.max_length, config.num_beams = max_length, 2
        monkeypatch.setattr(network, "generation_config", config)
        processor = package.WhisperProcessor.from_pretrained(DEMO)
        parts = {"tokenizer": processor.tokenizer, "feature_extractor": processor.feature_extractor}
        texts.append(package.pipeline("automatic-speech-recognition", model=network, **parts)(speech(0, 21))["text"])

    assert texts[0] == texts[1]
    assert len(texts[0].split()) > 18
