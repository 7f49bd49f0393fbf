"""Windows of spoken digits, made up as training goes: which words, with which pauses, in which noise, cut where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.demo.bank import Bank
from model.demo.noise import reverberated, stretch_of, transmitted
from model.demo.voices import RATE, SPEAKERS, Clip, Samples, Spoken

AUDIBLE = 0.85
"""A word cut by the end of the audio is in the text if this much of it is heard."""


@dataclass(frozen=True, slots=True)
class Window:
    """Audio and what is said in it."""

    samples: Samples
    words: tuple[Spoken, ...]
    silent: bool
    """No voice at all, not even a part of a word."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """What the windows of one stage of training look like."""

    min_pause: float = 0.0
    """Seconds between words, at least."""
    cut: float = 0.6
    """Share of windows whose end may fall into a word."""
    no_speech: float = 0.08
    augment: float = 1.0
    """0 leaves the audio as recorded, 1 is everything."""


def _pauses(rng: np.random.Generator, n: int, length: float, least: float) -> NDArray[np.float64]:
    """Draw n pauses (s) in one of the manners in which people, or tests, put digits one after the other."""
    manner = rng.random()
    if manner < 0.08:
        pauses = rng.uniform(0.0, 0.05, n)
    elif manner < 0.36:
        pauses = rng.uniform(0.03, 0.3, n)
    elif manner < 0.6:
        pauses = rng.uniform(0.1, 0.5, n)
    elif manner < 0.78:
        pauses = rng.uniform(0.25, 1.2, n)
    elif manner < 0.92:
        pauses = np.exp(rng.uniform(np.log(0.02), np.log(2.5), n))
    else:
        pauses = rng.uniform(0.5, max(1.0, min(8.0, length / 2)), n)
    # Phrases: a longer breath after some words.
    breath = rng.random(n) < rng.choice([0.0, 0.1, 0.25])
    return np.asarray(np.maximum(least, pauses + breath * rng.uniform(0.4, 2.0, n)))


def _voices(bank: Bank, rng: np.random.Generator) -> list[str]:
    """One voice for the window, or a few in turn."""
    real = [name for name in bank.clips_of if name in SPEAKERS]
    made = [name for name in bank.clips_of if name not in SPEAKERS]
    drawn = rng.random()
    if drawn < 0.42:
        return [str(rng.choice(real))]
    if drawn < 0.84:
        return [str(rng.choice(made))]
    return [str(name) for name in rng.choice(real + made[:20], 4)] + real


def _clips(bank: Bank, rng: np.random.Generator, voices: list[str]) -> Iterator[Clip]:
    """Draw clips without end; in one window of three, words are said again and again, as in "nine nine"."""
    again = rng.choice([0.0, 0.0, rng.uniform(0.1, 0.8)])
    index = int(rng.choice(bank.clips_of[str(rng.choice(voices))]))
    while True:
        clip = bank.clip(index)
        yield clip
        choice = bank.clips_of[str(rng.choice(voices))]
        if rng.random() < again:
            if rng.random() < 0.2:  # the very same recording
                continue
            alike = choice[bank.first_digits[choice] == clip.words[-1].digit]
            choice = alike if len(alike) else choice
        index = int(rng.choice(choice))


def spoken(bank: Bank, rng: np.random.Generator, length: float, hard: Difficulty) -> Window:
    """Lay clips of digits into `length` seconds, or a little less where no word is to be cut."""
    n = int(length * RATE)
    out = np.zeros(n, dtype=np.float32)
    voices = _voices(bank, rng)
    pauses = iter(_pauses(rng, int(length / 0.1) + 4, length, hard.min_pause))
    longest = min(6.0, length / 2)
    lead = float(rng.choice([0.0, rng.uniform(0, 0.3), rng.uniform(0, longest), rng.uniform(0, longest)]))
    position = int(lead * RATE)
    if hard.min_pause == 0 and rng.random() < 0.06:
        position = -int(rng.uniform(0.05, 0.4) * RATE)  # the window starts within a word
    may_cut, gain_spread = rng.random() < hard.cut, rng.choice([0.0, 2.0, 4.0])
    clips = _clips(bank, rng, voices)
    words: list[Spoken] = []
    heard = False
    while position < n:
        clip = next(clips)
        begin, end = clip.words[0].start, clip.words[-1].end
        if rng.random() < 0.4:  # as recorded, with what is around the word
            begin, end = 0, len(clip.samples)
        if position + end - begin > n and not may_cut:
            break
        piece = clip.samples[begin:end] * np.float32(10 ** (rng.normal(0, gain_spread) / 20))
        first, last = max(0, position), min(n, position + len(piece))
        if last > first:
            out[first:last] += piece[first - position : last - position]
            heard = True
        words += [Spoken(w.digit, w.start - begin + position, w.end - begin + position) for w in clip.words]
        position += len(piece) + int(next(pauses) * RATE)
    if not may_cut and words:
        n = min(n, words[-1].end + int(rng.uniform(0, 0.8) * RATE))
    return Window(out[:n], tuple(audible(words, n)), silent=not heard)


def audible(words: list[Spoken], n: int) -> list[Spoken]:
    """Keep the words of which enough lies within n samples, clipped to them."""
    kept = []
    for word in words:
        start, end = max(0, word.start), min(n, word.end)
        if end - start >= AUDIBLE * (word.end - word.start):
            kept.append(Spoken(word.digit, start, end))
    return kept


def augmented(window: Window, noises: list[Samples], rng: np.random.Generator, amount: float) -> Window:
    """Room, noise, channel and level; times stay what they are."""
    samples = window.samples
    if rng.random() < 0.25 * amount:
        samples = reverberated(samples, rng)
    if rng.random() < 0.75 * amount:
        # Words peak near -18 dBFS, so this is the ratio of the loudest 10 ms to the noise.
        worst = 45 - 40 * amount
        ratio = rng.uniform(worst, rng.choice([55, (worst + 55) / 2, (3 * worst + 55) / 4], p=[0.4, 0.3, 0.3]))
        samples = samples + stretch_of(noises, len(samples), rng) * np.float32(10 ** ((-18 - ratio) / 20))
        if rng.random() < 0.3:
            faint = stretch_of(noises, len(samples), rng)
            samples = samples + faint * np.float32(10 ** (rng.uniform(-70, -35) / 20))
    if rng.random() < amount:
        samples = transmitted(samples, rng)
    gain = np.float32(10 ** (rng.uniform(-32, 8) * amount / 20))
    return Window(samples * gain, window.words, window.silent)


def empty(noises: list[Samples], rng: np.random.Generator, length: float) -> Window:
    """Make a window without speech: silence, noise at any level, or several noises one after another."""
    n = int(length * RATE)
    samples = np.zeros(n, dtype=np.float32)
    if rng.random() < 0.85:
        for _ in range(int(rng.integers(1, 4))):
            begin, end = sorted(int(x) for x in rng.integers(0, n + 1, 2))
            begin, end = (0, n) if rng.random() < 0.6 else (begin, end)
            samples[begin:end] += stretch_of(noises, end - begin, rng) * np.float32(10 ** (rng.uniform(-95, -12) / 20))
        samples = transmitted(samples, rng)
    return Window(samples, (), silent=True)


def window(bank: Bank, noises: list[Samples], rng: np.random.Generator, length: float, hard: Difficulty) -> Window:
    """Make one training window of at most `length` seconds."""
    if rng.random() < hard.no_speech:
        return empty(noises, rng, length)
    made = spoken(bank, rng, length, hard)
    return augmented(made, noises, rng, hard.augment)
