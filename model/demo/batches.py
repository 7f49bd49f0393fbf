"""The course of training: which windows, how long, how hard, at each point of the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.demo import vocabulary as v
from model.demo.bank import Bank
from model.demo.hearing import Ear
from model.demo.labels import POSITION, Mode, Targets, targets
from model.demo.noise import noise_bank
from model.demo.windows import Difficulty, Window, window

POSITIONS = 1500
ROUND = 64
"""Contexts are multiples of 64 encoder positions (1.28 s), as the daemon's are."""
SILENCE = 1.28
"""Seconds of zeros after the audio at least, unless the window is full."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What batches look like from some point on."""

    until: float
    """End of the stage, as a share of the whole course."""
    lengths: tuple[tuple[float, float, float], ...]
    """(share of batches, shortest, longest window in seconds)."""
    max_words: int
    min_pause: float
    prompts: float
    plain: float
    """Share of windows without timestamps."""
    no_speech: float
    cut: float


COURSE = (
    # One word a segment first: the decoder finds the alignment here or not at all.
    Stage(0.10, ((1.0, 1.6, 4.5),), 1, 0.3, 0.0, 0.0, 0.02, 0.0),
    Stage(0.15, ((1.0, 1.6, 6.0),), 2, 0.0, 0.05, 0.05, 0.05, 0.3),
    Stage(0.20, ((1.0, 1.6, 8.0),), 2, 0.0, 0.15, 0.1, 0.06, 0.5),
    Stage(0.30, ((0.8, 1.0, 10.0), (0.2, 8.0, 20.0)), 3, 0.0, 0.25, 0.15, 0.08, 0.6),
    Stage(0.94, ((0.36, 0.4, 6.0), (0.32, 5.0, 14.0), (0.32, 12.0, 30.0)), 3, 0.0, 0.3, 0.2, 0.12, 0.6),
    Stage(1.00, ((0.2, 0.4, 6.0), (0.2, 5.0, 14.0), (0.6, 20.0, 30.0)), 3, 0.0, 0.3, 0.2, 0.18, 0.6),
)
PROMPT = 223
"""Most tokens of previous text: half the decoder's positions, less one."""
RAMP = 0.12
"""Augmentation grows from a fifth to all over this share of the course."""

EASY = 0.3
"""Share of batches with little of it: clean speech is what most microphones hear."""


class Batches:
    """Makes training batches; all randomness comes from `seed`."""

    def __init__(self, bank: Bank, seed: tuple[int, int, int], seconds: float) -> None:
        """`seed`: of the run, the process, the first step; `seconds`: audio in a batch, padding included."""
        self.bank = bank
        self.seconds = seconds
        self.rng = np.random.default_rng(seed)
        # Batches of one shape at a time in all processes: otherwise the quick ones wait for the slow.
        self.shapes = np.random.default_rng((seed[0], *seed[2:]))
        self.noises = noise_bank(self.rng)
        self.ear = Ear(self.rng)

    def draw(self, progress: float) -> tuple[Tensor, Targets]:
        """Return log-mel (batch, 80, 2 n) and targets for a point of the course in 0..1."""
        stage = next(stage for stage in COURSE if progress < stage.until or stage is COURSE[-1])
        augment = min(1.0, 0.2 + 0.8 * progress / RAMP)
        if self.rng.random() < EASY:
            augment *= float(self.rng.uniform(0, 0.4))
        longest, positions = self._shape(stage)
        count = max(1, round(self.seconds / (positions * 0.02)))
        full = positions == POSITIONS and longest > 25 and self.rng.random() < 0.75
        hard = Difficulty(stage.min_pause, 1.0 if full else stage.cut, stage.no_speech, augment)
        windows = [
            window(self.bank, self.noises, self.rng, longest * (1 if full else float(self.rng.uniform(0.5, 1))), hard)
            for _ in range(count)
        ]
        modes = [self._mode(stage, positions, progress) for _ in windows]
        return self.ear.listen(_stacked(windows, positions), augment), targets(windows, modes, positions)

    def _shape(self, stage: Stage) -> tuple[float, int]:
        """Draw the longest window (s) and the context (encoder positions) of a batch."""
        shares = np.array([share for share, _, _ in stage.lengths])
        rng = self.shapes
        _, least, most = stage.lengths[int(rng.choice(len(shares), p=shares / shares.sum()))]
        longest = float(rng.uniform(least, most))
        if most == 30.0 and rng.random() < 0.3:
            longest = float(rng.uniform(28.5, 30.0))
        silence = SILENCE if rng.random() < 0.8 else float(rng.uniform(1.28, 6.0))
        positions = -(-int((longest + silence) * 50) // ROUND) * ROUND
        if most < 30.0 and stage.until > 0.9 and rng.random() < 0.06:
            positions = POSITIONS
        return longest, min(POSITIONS, positions)

    def _mode(self, stage: Stage, positions: int, progress: float) -> Mode:
        """Draw how a window is written down."""
        rng = self.rng
        prompt: tuple[int, ...] = ()
        if rng.random() < stage.prompts:
            prompt = self._prompt()
        offset = int(rng.integers(0, POSITIONS - positions + 1)) if rng.random() < 0.4 else 0
        room = 448 - 220 - len(prompt)
        return Mode(
            timestamps=rng.random() >= stage.plain,
            prompt=prompt,
            task=v.SMALL_TRANSLATE if rng.random() < 0.05 else v.SMALL_TRANSCRIBE,
            language=v.OTHER_LANGUAGE if rng.random() < 0.08 and progress > RAMP else v.EN,
            offset=offset,
            position=int(rng.integers(0, max(1, room))) if rng.random() < 0.5 and progress > RAMP else 0,
            max_words=stage.max_words,
            hurried=rng.random() < 0.6,
        )

    def _prompt(self) -> tuple[int, ...]:
        """Draw previous text: digits, unknown words, or both; mostly short, sometimes as long as allowed."""
        rng = self.rng
        n = int(rng.integers(60, 220)) if rng.random() < 0.06 else int(rng.geometric(0.1))
        digits = rng.integers(0, 10, n)
        unknown = rng.random(n) < rng.choice([0.0, 0.0, 0.3, 1.0])
        text = np.where(unknown, v.UNKNOWN, digits).tolist()
        return tuple((self._stamped(text) if rng.random() < 0.4 else text)[-PROMPT:])

    def _stamped(self, text: list[int]) -> list[int]:
        """Write previous text with timestamps, as long form tells a window what the one before it said."""
        rng = self.rng
        tokens: list[int] = []
        time = int(rng.integers(0, 60))
        # As many words as a window holds, the drawn ones at its end.
        words = [*rng.integers(0, 10, int(rng.integers(0, 45))).tolist(), *text]
        while words and time < POSITIONS - 150:
            count = int(rng.integers(1, 4))
            end = time + count * int(rng.integers(12, 40))
            tokens += [v.TIME + time, *words[:count], v.TIME + end]
            words, time = words[count:], end + int(rng.choice([0, 15, 60]) * rng.uniform(0.4, 1.6))
        return tokens


def _stacked(windows: list[Window], positions: int) -> Tensor:
    """Zero-pad audio to the context, (batch, positions * 320)."""
    audio = np.zeros((len(windows), positions * POSITION), dtype=np.float32)
    for row, one in zip(audio, windows, strict=True):
        n = min(len(one.samples), len(row))
        row[:n] = one.samples[:n]
    return torch.from_numpy(audio)
