"""What a demo model is measured on: utterances of held-out digits, and what may happen to their sound on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal

from model.demo.noise import sloped
from model.demo.voices import RATE, Clip, Samples, Spoken, mu_law
from model.demo.windows import Window, audible

Change = Callable[[Samples, np.random.Generator], Samples]


def utterance(clips: Sequence[Clip], rng: np.random.Generator, count: int, pauses: tuple[float, float]) -> Window:
    """Say `count` random digits with pauses between two limits in seconds; up to half a second of silence around."""
    pieces, words = [np.zeros(int(rng.uniform(0, 0.5) * RATE), np.float32)], []
    position = len(pieces[0])
    for _ in range(count):
        clip = clips[int(rng.integers(len(clips)))]
        word = clip.words[0]
        words.append(Spoken(word.digit, position + word.start, position + word.end))
        pause = np.zeros(int(rng.uniform(*pauses) * RATE), np.float32)
        pieces += [clip.samples, pause]
        position += len(clip.samples) + len(pause)
    return Window(np.concatenate(pieces), tuple(words), silent=False)


def cut(window: Window, n: int) -> Window:
    """End the window after n samples, wherever that is."""
    return Window(window.samples[:n], tuple(audible(list(window.words), n)), silent=False)


def delayed(window: Window, n: int) -> Window:
    """Put n samples of silence before."""
    words = tuple(Spoken(word.digit, word.start + n, word.end + n) for word in window.words)
    return Window(np.concatenate([np.zeros(n, np.float32), window.samples]), words, silent=False)


def changed(window: Window, change: Change, rng: np.random.Generator) -> Window:
    """Change the audio and nothing else."""
    return replace(window, samples=change(window.samples, rng))


def noisy(ratio: float, samples: Samples, rng: np.random.Generator) -> Samples:
    """Add white noise `ratio` dB below the speech; pauses count as speech."""
    return _beneath(ratio, samples, rng.standard_normal(len(samples)))


def telephone(samples: Samples, _rng: np.random.Generator) -> Samples:
    """8 kHz µ-law and back."""
    narrow = mu_law(soxr.resample(samples, RATE, 8000).astype(np.float32))
    return np.asarray(soxr.resample(narrow, 8000, RATE), dtype=np.float32)


def quiet(samples: Samples, _rng: np.random.Generator) -> Samples:
    """30 dB down and 16 bit."""
    return (np.round(samples * 0.0316 * 32768) / 32768).astype(np.float32)


def pink(ratio: float, samples: Samples, rng: np.random.Generator) -> Samples:
    """Add noise that falls by 3 dB an octave, as that of rooms does, `ratio` dB below the speech."""
    return _beneath(ratio, samples, sloped(rng.standard_normal(len(samples)), 0.5, lowest=50.0))


def _beneath(ratio: float, samples: Samples, noise: NDArray[np.floating[Any]]) -> Samples:
    """Add noise whose root mean square is 1 `ratio` dB below the speech."""
    level = np.sqrt((samples**2).mean()) * 10 ** (-ratio / 20)
    return np.asarray(samples + level * noise, dtype=np.float32)


def within(low: float, high: float, samples: Samples, _rng: np.random.Generator) -> Samples:
    """Leave what lies between two frequencies in hertz."""
    band = signal.butter(6, [low, high], "band", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(band, samples), dtype=np.float32)


def tilted(slope: float, samples: Samples, _rng: np.random.Generator) -> Samples:
    """Raise what is high by so many dB an octave, around 1 kHz: another microphone."""
    frequency = np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 100.0)
    gain = 10 ** (slope * np.log2(frequency / 1000) / 20)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples) * gain, len(samples)), dtype=np.float32)


def higher(window: Window, factor: float) -> Window:
    """Play it so many times as fast: all frequencies are higher by that, as another vocal tract's are."""
    samples = soxr.resample(window.samples, RATE * factor, RATE).astype(np.float32)
    words = tuple(Spoken(w.digit, round(w.start / factor), round(w.end / factor)) for w in window.words)
    return Window(samples, words, silent=False)
