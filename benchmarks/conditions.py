"""The audio that streaming systems are compared on: two ways of speaking, each at several levels of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.speech import EVERYONE, MONOLOGUE, PHRASES, Cast, Speech, Style, speak
from model.types import SAMPLE_RATE, Samples

CONTINUOUS = "continuous"
PAUSED = "phrases"
STYLES: dict[str, Style] = {CONTINUOUS: MONOLOGUE, PAUSED: PHRASES}
"""Speech without a pause that would end an utterance, for most of a minute at a time; and short phrases."""
NOISE_LEVELS: tuple[float | None, ...] = (None, 20.0, 10.0)
"""Decibels from speech down to noise; None for none but the floor of -65 dB."""
LEAST_SECONDS = 5.0
"""Of a stream: less may have no word in it."""
LOWEST_HZ = 50.0
"""Below this the noise does not grow any more."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One stream, as a recipe: the same recipe gives the same samples."""

    style: str
    snr: float | None
    seconds: float
    seed: int
    cast: Cast = EVERYONE

    @property
    def name(self) -> str:
        """Name for tables and progress."""
        noise = "clean" if self.snr is None else f"{self.snr:g} dB"
        return f"{self.style}, {noise}"

    def speech(self) -> Speech:
        """Speak it. Words are whole and none is left out: it may be a little longer than asked for."""
        spoken = speak(self.seconds, self.seed, (STYLES[self.style],), self.cast)
        if self.snr is None:
            return spoken
        noise = pink_noise(len(spoken.samples), self.seed)
        level = speech_level(spoken) * 10 ** (-self.snr / 20)
        return Speech(spoken.samples + noise * np.float32(level), spoken.words)


def conditions(minutes: float, seed: int, cast: Cast = EVERYONE) -> list[Condition]:
    """Divide that much speech evenly among all conditions, at least some for each; each has a seed of its own."""
    kinds = [(style, snr) for snr in NOISE_LEVELS for style in STYLES]
    seconds = max(minutes * 60 / len(kinds), LEAST_SECONDS)
    return [Condition(style, snr, seconds, seed + index, cast) for index, (style, snr) in enumerate(kinds)]


def speech_level(speech: Speech) -> float:
    """Return the root mean square of the words, pauses left out."""
    inside = np.concatenate([speech.samples[word.start : word.end] for word in speech.words])
    return float(np.sqrt(np.mean(np.square(inside, dtype=np.float64))))


def pink_noise(samples: int, seed: int) -> Samples:
    """Make noise whose power falls by 3 dB an octave, as that of rooms and crowds does; root mean square 1."""
    size = 1 << max(samples - 1, 1).bit_length()  # a length of large primes makes the transform slow
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), LOWEST_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(frequency), size)[:samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), dtype=np.float32)
