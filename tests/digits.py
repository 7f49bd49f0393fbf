"""Spoken digits from real recordings, joined with pauses, with the sample at which each word was spoken."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from model.text.word_errors import word_errors
from model.types import SAMPLE_RATE, Samples

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "fsdd"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "nicolas", "yweweler")
HELD_OUT_TAKES = range(5)
"""The dataset's test split: the demo model was not trained on these."""
QUIET = 10 ** (-3.5)
"""Energy below the clip's peak, -35 dB, that counts as its silence."""

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings in ../shared/data/fsdd are not beside this checkout"
)


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """Speech whose words are known."""

    audio: Samples
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """Sample indices between which each word is heard."""

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(self.words)


@cache
def clip(digit: int, speaker: str, take: int) -> tuple[Samples, int, int]:
    """Return one recording at 16 kHz, and where in it the voice is."""
    audio, rate = soundfile.read(FOLDER / f"{digit}_{speaker}_{take}.wav", dtype="float32")
    audio = soxr.resample(audio, rate, SAMPLE_RATE).astype(np.float32)
    energy = np.convolve(audio**2, np.ones(160) / 160, "same")
    loud = np.flatnonzero(energy > energy.max() * QUIET)
    return audio, int(loud[0]), int(loud[-1])


def say(speaker: str, count: int, seed: int, pauses: tuple[float, float] = (0.1, 0.4), every: int = 5) -> Spoken:
    """Join `count` random digits with pauses in seconds; after each `every` of them a pause of a second or more."""
    dice = random.Random(seed)
    parts: list[Samples] = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    position = len(parts[0])
    words, spans = [], []
    for index in range(count):
        digit = dice.randrange(10)
        audio, start, end = clip(digit, speaker, dice.choice(HELD_OUT_TAKES))
        words.append(WORDS[digit])
        spans.append((position + start, position + end))
        low, high = (1.0, 1.6) if (index + 1) % every == 0 else pauses
        gap = np.zeros(int(dice.uniform(low, high) * SAMPLE_RATE), np.float32)
        parts += [audio, gap]
        position += len(audio) + len(gap)
    return Spoken(np.concatenate(parts), tuple(words), tuple(spans))


def errors(heard: list[str], said: list[str]) -> int:
    """Count substitutions, insertions and deletions: the numerator of the word error rate."""
    return word_errors(heard, said)
