"""Everything that is not speech: noises of many kinds, rooms, and what happens to a signal on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal

from model.demo.voices import RATE, Samples, mu_law

Noise = Callable[[int, np.random.Generator], Samples]


def _unit(samples: NDArray[np.floating[Any]]) -> Samples:
    """Scale to a root mean square of 1."""
    return np.asarray(samples / (np.sqrt((samples**2).mean()) + 1e-9), dtype=np.float32)


def sloped(white: NDArray[np.float64], slope: float, lowest: float = 20.0) -> Samples:
    """Let white noise fall by `slope` times 6 dB an octave from `lowest` hertz on (0.5 is pink); root mean square 1."""
    frequency = np.maximum(np.fft.rfftfreq(len(white), 1 / RATE), lowest)
    return _unit(np.fft.irfft(np.fft.rfft(white) * frequency**-slope, len(white)))


def coloured(n: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls or rises by a random slope: white, pink, brown, blue and between."""
    white = rng.standard_normal(n)
    return sloped(white, float(rng.choice([0.0, 0.5, 1.0, -0.3, rng.uniform(-0.3, 1.2)])))


def band(n: int, rng: np.random.Generator) -> Samples:
    """White noise through a random band: fans, hiss, wind."""
    low = float(np.exp(rng.uniform(np.log(40), np.log(4000))))
    high = min(7900.0, low * float(rng.uniform(1.3, 6)))
    return _unit(signal.sosfilt(signal.butter(2, [low, high], "band", fs=RATE, output="sos"), rng.standard_normal(n)))


def modulated(n: int, rng: np.random.Generator) -> Samples:
    """Band noise that comes and goes at the rate of syllables, without being any."""
    knots = rng.random(max(4, int(n / RATE * rng.uniform(2, 12)))) ** rng.uniform(1, 4)
    return _unit(band(n, rng) * np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots))


def hum(n: int, rng: np.random.Generator) -> Samples:
    """Mains hum: 50 or 60 Hz and its harmonics, with a little hiss."""
    time = np.arange(n) / RATE
    base = float(rng.choice([50.0, 60.0, rng.uniform(80, 400)]))
    tones = [rng.random() / k * np.sin(2 * np.pi * base * k * time + rng.uniform(0, 6.28)) for k in range(1, 16)]
    return _unit(np.sum(tones, axis=0) + rng.uniform(0, 0.05) * rng.standard_normal(n))


def clicks(n: int, rng: np.random.Generator) -> Samples:
    """Clicks, key strokes and knocks: short decaying bursts at random times."""
    out = 1e-4 * rng.standard_normal(n)
    for start in rng.integers(0, n, max(1, int(n / RATE * rng.uniform(0.3, 8)))):
        size = min(n - int(start), int(rng.uniform(0.002, 0.08) * RATE))
        burst = rng.standard_normal(size) * np.exp(-np.arange(size) / max(1.0, size * rng.uniform(0.05, 0.4)))
        out[start : start + size] += rng.uniform(0.1, 1) * burst
    return _unit(out)


def music(n: int, rng: np.random.Generator) -> Samples:
    """Make notes, chords, beeps and sweeps with envelopes."""
    out, position = np.zeros(n), 0
    while position < n:
        size = min(n - position, int(rng.uniform(0.08, 1.2) * RATE))
        time = np.arange(size) / RATE
        envelope = np.minimum(1, time / 0.01) * np.exp(-time * rng.uniform(0, 6))
        for _ in range(int(rng.integers(1, 4))):
            pitch = 110 * 2 ** (rng.integers(0, 48) / 12)
            glide = pitch * time * (1 + rng.choice([0, 0, rng.uniform(-0.3, 0.3)]) * time)
            for harmonic in range(1, int(rng.integers(2, 6))):
                out[position : position + size] += envelope * np.sin(2 * np.pi * harmonic * glide) / harmonic
        position += size + int(rng.choice([0, rng.uniform(0, 0.5)]) * RATE)
    return _unit(out)


KINDS: tuple[Noise, ...] = (coloured, coloured, band, modulated, hum, clicks, music)


def noise_bank(rng: np.random.Generator, pieces: int = 140, seconds: float = 12.0) -> list[Samples]:
    """Make the noises once; windows take random stretches of them."""
    return [KINDS[index % len(KINDS)](int(seconds * RATE), rng) for index in range(pieces)]


def stretch_of(bank: list[Samples], n: int, rng: np.random.Generator) -> Samples:
    """Take n samples of a random noise, from a random place, repeated as needed; root mean square near 1."""
    noise = bank[int(rng.integers(len(bank)))]
    return np.take(noise, np.arange(n) + int(rng.integers(len(noise))), mode="wrap")


def reverberated(samples: Samples, rng: np.random.Generator) -> Samples:
    """Put the signal into a room: exponentially decaying noise after a direct path, 0.1 to 0.5 s to -60 dB."""
    decay = float(rng.uniform(0.1, 0.5))
    time = np.arange(int(decay * RATE)) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail *= float(rng.uniform(0.1, 0.7)) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return np.asarray(signal.oaconvolve(samples, tail)[: len(samples)], dtype=np.float32)


def transmitted(samples: Samples, rng: np.random.Generator) -> Samples:
    """Send the signal through a random channel: a telephone band, µ-law, a low-pass, clipping, 16 bit, or nothing."""
    kind = int(rng.integers(0, 12))
    if kind == 0:
        edges = [float(rng.uniform(80, 350)), float(rng.uniform(3000, 3900))]
        samples = signal.sosfilt(signal.butter(3, edges, "band", fs=RATE, output="sos"), samples).astype(np.float32)
    elif kind == 1:
        telephone = mu_law(soxr.resample(samples, RATE, 8000, quality="QQ").astype(np.float32))
        samples = soxr.resample(telephone, 8000, RATE, quality="QQ")[: len(samples)].astype(np.float32)
    elif kind == 2:
        samples = mu_law(samples)
    elif kind == 3:
        filt = signal.butter(4, float(rng.uniform(2800, 7000)), fs=RATE, output="sos")
        samples = signal.sosfilt(filt, samples).astype(np.float32)
    elif kind == 4:
        samples = np.clip(samples * float(rng.uniform(2, 8)), -0.9, 0.9)
    elif kind <= 7:
        samples = (np.round(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32)
    return samples
