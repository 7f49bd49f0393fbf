"""Let programs transcribe the same recording in turns, and count what they heard and how fast they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.speech import Speech
from model.text.word_errors import word_errors
from model.types import SAMPLE_RATE, Samples

OURS, TRANSFORMERS, FASTER_WHISPER = "streamer", "transformers", "faster-whisper"
Transcriber = Callable[[Samples], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one program heard, and how long each round took."""

    name: str
    words: tuple[str, ...]
    errors: int
    seconds: tuple[float, ...]


def race(programs: dict[str, Transcriber], spoken: Speech, rounds: int) -> list[Outcome]:
    """Let the programs transcribe in turns, every other round in reverse; the first window warms each of them up."""
    truth = [word.text for word in spoken.words]
    heard: dict[str, tuple[str, ...]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program(spoken.samples[: 30 * SAMPLE_RATE])
    for number in range(rounds):
        for name in list(programs) if number % 2 == 0 else reversed(programs):
            print(f"round {number + 1} of {rounds}: {name} …", flush=True)
            began = time.perf_counter()
            words = tuple(programs[name](spoken.samples))
            seconds[name].append(time.perf_counter() - began)
            assert heard.setdefault(name, words) == words, f"{name} heard something else the second time"
    return [Outcome(name, heard[name], word_errors(heard[name], truth), tuple(seconds[name])) for name in programs]


def speed(one: Outcome, outcomes: list[Outcome]) -> float:
    """How many times as fast as transformers: the median over rounds, each against its own neighbour."""
    base = next(other for other in outcomes if other.name == TRANSFORMERS)
    return median(theirs / own for own, theirs in zip(one.seconds, base.seconds, strict=True))
