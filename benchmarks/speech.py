"""Speech whose every word has a known place: spoken digits, put one after the other with pauses."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from model.types import SAMPLE_RATE, Samples

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "fsdd"
SPEAKERS = ("george", "jackson", "nicolas", "yweweler")
HELD_OUT_TAKES = range(5)
"""The takes that the data set itself keeps for tests; the demo model has not heard them."""
ALL_TAKES = range(50)
VOICES = ("en-us", "en-us+f3", "en-gb+m3", "en-gb-scotland+f2")
"""espeak-ng voices, where the recordings are missing."""
FLOOR = 10 ** (-65 / 20)
"""Level of the noise under everything: a room, not digital silence."""
AUDIBLE_DB = -35
"""A word lasts from the first to the last 5 ms this close to its loudest 5 ms."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and where it truly is, in samples."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Audio and everything that is said in it."""

    samples: Samples
    words: tuple[SpokenWord, ...]

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Style:
    """How somebody speaks: all in seconds."""

    words: tuple[int, int] = (3, 8)
    """Words of a phrase, at least and at most."""
    gap: tuple[float, float] = (0.06, 0.35)
    """Silence between words of a phrase."""
    pause: tuple[float, float] = (0.9, 1.6)
    """Silence between phrases; longer than the daemon's hangover, so that each phrase is an utterance."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks, and which of their recordings are heard."""

    speakers: tuple[str, ...] = SPEAKERS
    takes: range = HELD_OUT_TAKES


PHRASES = Style()
MONOLOGUE = Style(words=(60, 90), gap=(0.1, 0.35), pause=(1.0, 1.6))
"""Speech without a pause that would end an utterance, for longer than Whisper's window."""


EVERYONE = Cast()
"""All speakers, in takes that the demo model has not heard."""


def strangers(names: Sequence[str]) -> Cast:
    """Return speakers whom a model has never heard, with all their takes. Raises ValueError for unknown names."""
    missing = sorted(set(names) - set(SPEAKERS))
    if missing or not names:
        raise ValueError(f"speakers must be some of {', '.join(SPEAKERS)}, got {', '.join(missing) or 'none'}")
    return Cast(tuple(names), ALL_TAKES)


def source(cast: Cast = EVERYONE) -> str:
    """Say where the words come from, for the report."""
    if not RECORDINGS.is_dir():
        return "espeak-ng voices (the recordings are missing)"
    if cast == EVERYONE:
        return f"held-out takes of {len(SPEAKERS)} speakers of the Free Spoken Digit Dataset"
    return f"all {len(cast.takes)} takes of {', '.join(cast.speakers)} of the Free Spoken Digit Dataset"


def speak(seconds: float, seed: int, styles: Sequence[Style] = (PHRASES,), cast: Cast = EVERYONE) -> Speech:
    """Make at least this much speech, each phrase in one of the styles; the same seed gives the same samples.

    Raises FileNotFoundError if there are neither recordings nor espeak-ng.
    """
    chance = random.Random(seed)
    pieces: list[Samples] = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    words: list[SpokenWord] = []
    position = len(pieces[0])
    while position < seconds * SAMPLE_RATE:
        for piece, text in _phrase(chance, chance.choice(styles), cast):
            if text:
                words.append(SpokenWord(text, position, position + len(piece)))
            pieces.append(piece)
            position += len(piece)
    samples = np.concatenate(pieces)
    samples += np.random.default_rng(seed).standard_normal(len(samples), np.float32) * np.float32(FLOOR)
    return Speech(samples, tuple(words))


def _phrase(chance: random.Random, style: Style, cast: Cast) -> Iterator[tuple[Samples, str]]:
    """Yield the words of one phrase with its pauses; silence has no text."""
    speaker = cast.speakers[chance.randrange(len(cast.speakers))]
    count = chance.randint(*style.words)
    for index in range(count):
        digit = chance.randrange(10)
        yield _word(digit, speaker, chance.choice(cast.takes)), DIGITS[digit]
        silence = chance.uniform(*(style.gap if index + 1 < count else style.pause))
        yield np.zeros(round(silence * SAMPLE_RATE), np.float32), ""


@cache
def _word(digit: int, speaker: str, take: int) -> Samples:
    if RECORDINGS.is_dir():
        audio, rate = soundfile.read(RECORDINGS / f"{digit}_{speaker}_{take}.wav", dtype="float32")
    else:
        audio, rate = _synthesise(DIGITS[digit], VOICES[SPEAKERS.index(speaker)])
    audio = _trim(soxr.resample(audio, rate, SAMPLE_RATE).astype(np.float32))
    return audio * np.float32(0.5 / max(np.abs(audio).max(), 1e-6))


def _trim(audio: Samples) -> Samples:
    """Cut what is not audible from both ends."""
    step = SAMPLE_RATE // 200
    frames = audio[: len(audio) // step * step].reshape(-1, step)
    level = np.sqrt((frames**2).mean(axis=1))
    audible = np.flatnonzero(level > level.max() * 10 ** (AUDIBLE_DB / 20))
    return audio[audible[0] * step : (audible[-1] + 1) * step]


def _synthesise(text: str, voice: str) -> tuple[Samples, int]:
    program = shutil.which("espeak-ng")
    if program is None:
        raise FileNotFoundError(f"no speech to measure with: neither {RECORDINGS} nor espeak-ng is there")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run([program, "-v", voice, "-s", "150", "-w", file.name, text], check=True)
        audio, rate = soundfile.read(file.name, dtype="float32")
    return audio, rate
