"""Measure a demo model on held-out recordings: `python -m model.demo.evaluate`.

Takes 0-4 of the digit recordings were never trained on. Digits of one speaker are put one after another with pauses;
truth is where their energy says they start and end. Decoding is the recognizer's own, with its guards switched off, so
that what is measured is the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from model.checkpoint import load_checkpoint
from model.decoding.guards import Guards
from model.demo.conditions import (
    Change,
    changed,
    cut,
    delayed,
    higher,
    noisy,
    pink,
    quiet,
    telephone,
    tilted,
    utterance,
    within,
)
from model.demo.export import HERE
from model.demo.noise import KINDS, noise_bank, stretch_of
from model.demo.train import DEFAULT_DATA
from model.demo.voices import DIGITS, RATE, SPEAKERS, TEST_TAKES, recorded_clips
from model.demo.windows import Window
from model.recognizer import WhisperRecognizer
from model.text.word_errors import word_errors
from model.types import DecodeRequest, Hypothesis

TRUSTING = Guards(no_speech=2.0, log_probability=-1e9, compression=1e9, temperatures=(), partial_temperatures=())
"""Guards that take everything."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What came out of one condition."""

    edits: int
    words: int
    starts: list[float]
    """Errors of word starts in seconds, utterances without a word error only."""
    ends: list[float]
    segments: list[float]
    """Errors of segment starts and ends."""
    no_speech: float
    """Highest no-speech probability."""
    log_probability: float
    """Fifth percentile of the average log-probability."""


class Bench:
    """A model and the recordings it is measured on."""

    def __init__(self, folder: Path, data: Path, speakers: Sequence[str], count: int) -> None:
        """`count`: utterances per condition."""
        checkpoint = load_checkpoint(str(folder), device=torch.device("cpu"), dtype=torch.float32)
        self.short = WhisperRecognizer(checkpoint, dynamic=True, guards=TRUSTING)
        self.padded = WhisperRecognizer(checkpoint, dynamic=False, guards=TRUSTING)
        rng = np.random.default_rng(0)
        clips = list(recorded_clips(data, TEST_TAKES, 1, rng))
        self.clips = {name: [clip for clip in clips if clip.voice == name] for name in speakers}
        self.count = count

    def windows(self, counts: tuple[int, int], pauses: tuple[float, float], seed: int = 0) -> list[Window]:
        """Make utterances, speakers in turn."""
        rng = np.random.default_rng(seed)
        names = list(self.clips)
        return [
            utterance(self.clips[names[i % len(names)]], rng, int(rng.integers(counts[0], counts[1] + 1)), pauses)
            for i in range(self.count)
        ]

    def hear(
        self, windows: Sequence[Window], recognizer: WhisperRecognizer, prompt: tuple[int, ...]
    ) -> list[Hypothesis]:
        """Decode in batches of ten."""
        requests = [
            DecodeRequest(f"utterance {i}", 0, window.samples[: 30 * RATE], prompt=prompt, language="en")
            for i, window in enumerate(windows)
        ]
        answers = [one for at in range(0, len(requests), 10) for one in recognizer.transcribe(requests[at : at + 10])]
        for request in requests:
            recognizer.forget(request.stream)
        return answers

    def score(self, windows: Sequence[Window], *, padded: bool = False, prompt: tuple[int, ...] = ()) -> Scores:
        """Decode and compare."""
        answers = self.hear(windows, self.padded if padded else self.short, prompt)
        scores = Scores(0, 0, [], [], [], max(a.no_speech_probability for a in answers), 0.0)
        edits = words = 0
        for window, answer in zip(windows, answers, strict=True):
            truth = [DIGITS[word.digit] for word in window.words]
            heard = [word.text.strip() for word in answer.words]
            edits += word_errors(heard, truth)
            words += len(truth)
            if truth == heard:
                _time_errors(window, answer, scores)
        sure = float(np.percentile([answer.average_log_probability for answer in answers], 5))
        return replace(scores, edits=edits, words=words, log_probability=sure)


def _time_errors(window: Window, answer: Hypothesis, scores: Scores) -> None:
    """Append errors of times of an utterance whose words are right."""
    for said, word in zip(window.words, answer.words, strict=True):
        scores.starts.append(abs(word.start - said.start) / RATE)
        scores.ends.append(abs(word.end - said.end) / RATE)
    position = 0
    for number, segment in enumerate(answer.segments):
        if not segment.words:
            continue
        first, last = window.words[position], window.words[position + len(segment.words) - 1]
        position += len(segment.words)
        # Whisper's rules allow no first timestamp after 1 s.
        if number or first.start < RATE:
            scores.segments.append(abs(segment.start - first.start) / RATE)
        if segment.end is not None:
            scores.segments.append(abs(segment.end - last.end) / RATE)


def line(name: str, scores: Scores) -> str:
    """One row of the table, times as medians in milliseconds."""
    errors = (scores.segments, scores.starts, scores.ends)
    medians = [f"{1000 * np.median(some):4.0f}" if some else "   -" for some in errors]
    rate = 100 * scores.edits / scores.words
    return (
        f"| {name:34s} | {rate:5.1f} % ({scores.edits}/{scores.words}) | {' | '.join(medians)} "
        f"| {scores.no_speech:.3f} | {scores.log_probability:.2f} |"
    )


def speech_table(bench: Bench) -> None:
    """Print the rows on speech."""
    print("| condition | word error rate | segment ms | start ms | end ms | max no-speech | p5 log-prob |")
    print("|---|---|---|---|---|---|---|", flush=True)
    rng = np.random.default_rng(7)
    usual = bench.windows((3, 8), (0.1, 1.0))
    close = bench.windows((6, 12), (0.05, 0.3), seed=1)
    full = [cut(one, int(rng.uniform(28, 30) * RATE)) for one in bench.windows((70, 70), (0.1, 0.5), seed=2)]
    sparse = [cut(one, int(rng.uniform(20, 30) * RATE)) for one in bench.windows((30, 30), (0.3, 2.0), seed=3)]
    clipped = [cut(one, int(rng.uniform(0.3, 1) * len(one.samples))) for one in close]
    unknown = tuple(int(token) for token in rng.integers(300, 50000, 20))
    rows: list[tuple[str, list[Window], bool, tuple[int, ...]]] = [
        ("pauses 0.1-1 s", usual, False, ()),
        ("the same padded to 30 s", usual, True, ()),
        ("pauses 0.05-0.3 s", close, False, ()),
        ("the same cut anywhere", clipped, False, ()),
        ("28-30 s full, pauses 0.1-0.5 s", full[: bench.count // 2], False, ()),
        ("20-30 s, pauses 0.3-2 s", sparse[: bench.count // 2], False, ()),
        ("after 1-8 s of silence", [delayed(one, int(rng.uniform(1, 8) * RATE)) for one in usual], False, ()),
        ("unknown words as prompt", usual, False, unknown),
        ("digits as prompt", usual, False, (472, 732, 1045, 3407, 4018)),
    ]
    changes: list[tuple[str, Change]] = [
        ("8 kHz u-law", telephone),
        ("30 dB quieter", quiet),
        ("white noise 20 dB", partial(noisy, 20.0)),
        ("white noise 10 dB", partial(noisy, 10.0)),
        ("pink noise 20 dB", partial(pink, 20.0)),
        ("pink noise 10 dB", partial(pink, 10.0)),
        ("600 Hz to 7 kHz only", partial(within, 600.0, 7000.0)),
        ("highs 6 dB an octave up", partial(tilted, 6.0)),
        ("highs 6 dB an octave down", partial(tilted, -6.0)),
    ]
    rows += [(name, [changed(one, change, rng) for one in usual], False, ()) for name, change in changes]
    rows += [(f"{factor} times as high", [higher(one, factor) for one in usual], False, ()) for factor in (0.8, 1.3)]
    for name, windows, padded, prompt in rows:
        print(line(name, bench.score(windows, padded=padded, prompt=prompt)), flush=True)


def silence_table(bench: Bench, count: int) -> None:
    """Print how often silence and noise become text."""
    rng = np.random.default_rng(11)
    noises = noise_bank(rng, pieces=len(KINDS) * 3)
    print("\n| no speech | windows with text | no-speech probability, median and lowest |\n|---|---|---|")
    sets = (("1-6 s", (1.0, 6.0), False), ("30 s", (30.0, 30.0), False), ("3 s padded to 30 s", (3.0, 3.0), True))
    for name, seconds, padded in sets:
        windows = []
        for index in range(count):
            n = int(rng.uniform(*seconds) * RATE)
            level = 0.0 if index % 10 == 0 else 10 ** (rng.uniform(-80, -15) / 20)
            windows.append(Window((stretch_of(noises, n, rng) * level).astype(np.float32), (), silent=True))
        answers = bench.hear(windows, bench.padded if padded else bench.short, ())
        text = sum(bool(answer.words) for answer in answers)
        chances = [answer.no_speech_probability for answer in answers]
        print(f"| {name} | {text}/{count} | {np.median(chances):.3f}, {min(chances):.3f} |", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE, help="the model")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the digit recordings")
    parser.add_argument("--speakers", nargs="*", default=list(SPEAKERS))
    parser.add_argument("--count", type=int, default=80, help="utterances per condition")
    given = parser.parse_args()
    bench = Bench(given.folder, given.data, given.speakers, given.count)
    speech_table(bench)
    silence_table(bench, given.count)


if __name__ == "__main__":
    main()
