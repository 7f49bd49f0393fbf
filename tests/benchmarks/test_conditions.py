"""Streams are what their recipes say."""

import numpy as np
import pytest

from benchmarks import speech
from benchmarks.conditions import NOISE_LEVELS, STYLES, Condition, conditions, pink_noise, speech_level
from benchmarks.speech import RECORDINGS, Speech, SpokenWord
from model.types import SAMPLE_RATE

needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"the recordings are not in {speech.RECORDINGS}")


def test_the_time_is_divided_among_all_kinds_and_no_two_have_the_same_words():
    found = conditions(30, seed=5)

    assert {(one.style, one.snr) for one in found} == {(style, level) for style in STYLES for level in NOISE_LEVELS}
    assert sum(one.seconds for one in found) == pytest.approx(1800)
    assert len({one.seed for one in found}) == len(found)


@needs_recordings
def test_the_shortest_stream_has_words():
    assert all(one.speech().words for one in conditions(0.01, seed=5))


def test_pink_noise_falls_by_three_decibels_an_octave_and_has_a_level_of_one():
    noise = pink_noise(1 << 18, seed=1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[size : 2 * size].mean() for size in (1 << 12, 1 << 13, 1 << 14, 1 << 15)]

    assert np.sqrt(np.mean(np.square(noise))) == pytest.approx(1, rel=1e-3)
    assert 10 * np.log10(np.divide(octaves[:-1], octaves[1:])) == pytest.approx([3.0] * 3, abs=0.3)
    assert not np.array_equal(noise, pink_noise(1 << 18, seed=2))


def test_the_level_of_speech_leaves_pauses_out():
    loud = np.full(SAMPLE_RATE, 0.5, np.float32)
    samples = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), loud, np.zeros(5 * SAMPLE_RATE, np.float32)])

    assert speech_level(Speech(samples, (SpokenWord("one", SAMPLE_RATE, 2 * SAMPLE_RATE),))) == pytest.approx(0.5)


@needs_recordings
def test_noise_lies_as_far_below_the_words_as_the_recipe_says_and_changes_no_word():
    clean = Condition("phrases", None, 20, 3).speech()
    noisy = Condition("phrases", 10.0, 20, 3).speech()
    noise = noisy.samples - clean.samples

    assert noisy.words == clean.words
    ratio = 20 * np.log10(speech_level(clean) / np.sqrt(np.mean(np.square(noise))))
    assert ratio == pytest.approx(10, abs=0.05)
    assert np.array_equal(noisy.samples, Condition("phrases", 10.0, 20, 3).speech().samples)
