"""Run one long stream and look for growing memory, growing lag, and words skipped or doubled at window trims.

    python -m benchmarks.soak [--minutes 30] [--speed 4] [--model demo]

One client pushes speech faster than real time (--speed); all times are on the stream's own time line. Half the phrases
are short, half are monologues of up to a minute without a pause that would end an utterance, so that the 30 s window
is trimmed again and again in the middle of speech. Skipped is a spoken word whose time no committed word overlaps;
doubled are two committed words that overlap each other by more than half of the shorter one. Words that were merely
heard as another word are neither: to tell them apart from harm done by trimming, the share of words missed is given
for the first 15 s of utterances (nothing is trimmed there) and for the rest.

Writes soak.md and soak.json to `benchmarks/results/`. Exits with 1 if memory or lag grows, or a word is doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from benchmarks import machine, speech
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.delays import check_promises, percentile
from benchmarks.pairing import pair_words, words_of
from benchmarks.speech import MONOLOGUE, PHRASES, Speech
from benchmarks.stream import Recording, push
from model.types import SAMPLE_RATE

WARM_UP_S = 120.0
"""Stream time after which memory must not grow."""
SAMPLE_S = 10.0
"""Stream time between two looks at the memory."""
UNTRIMMED_S = 15.0
"""Start of an utterance in which the window cannot have been trimmed yet."""
MEMORY_LIMIT_MIB = 16.0
"""Growth from the end of the warm-up to the end that still counts as none: the allocator's own breathing."""
LAG_LIMIT_S = 0.5
"""Growth of the median lag, last quarter against first, that still counts as none."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. Times in seconds of the stream, memory in MiB."""

    minutes: float
    speed: float
    memory_warm: float
    memory_end: float
    memory_slope_per_hour: float
    lag_first_quarter: float
    lag_last_quarter: float
    lag_p95: float
    words: int
    long_utterances: int
    """Utterances during which the window must have been trimmed."""
    missed_early: float
    missed_late: float
    skipped: int
    doubled: int

    @property
    def sound(self) -> bool:
        """Whether nothing grew and nothing was doubled."""
        return (
            self.memory_end - self.memory_warm <= MEMORY_LIMIT_MIB
            and self.lag_last_quarter - self.lag_first_quarter <= LAG_LIMIT_S
            and self.doubled == 0
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory at a moment of the stream."""

    at: float
    mib: float


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="One long stream.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--speed", type=float, default=4, help="times real time")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    where = machine.describe()
    talk = speech.speak(options.minutes * 60, seed=7, styles=(PHRASES, MONOLOGUE))
    print(f"{options.minutes:g} minutes of speech at {options.speed:g} times real time …", flush=True)
    with running_daemon(options.model) as daemon:
        recording, memory = asyncio.run(run(daemon, talk, options.speed))
    report = examine(recording, memory, options.speed)
    command = (
        f"python -m benchmarks.soak --minutes {options.minutes:g} --speed {options.speed:g} --model {options.model}"
    )
    table = describe(report, command, options.model, where)
    machine.write("soak.md", table)
    raw = {"machine": where, "report": asdict(report), "memory": [asdict(one) for one in memory]}
    machine.write("soak.json", json.dumps(raw, indent=1) + "\n")
    print(table)
    sys.exit(not report.sound)


async def run(daemon: Daemon, talk: Speech, speed: float) -> tuple[Recording, list[Memory]]:
    """Push the speech and look at the daemon's memory meanwhile."""
    memory: list[Memory] = []
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watch_memory(daemon, memory, speed))
        recording = await push(daemon.address, talk, speed)
        watch.cancel()
    return recording, memory


async def watch_memory(daemon: Daemon, memory: list[Memory], speed: float) -> None:
    """Note the memory again and again, and show progress; runs until it is cancelled."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        await asyncio.sleep(SAMPLE_S / speed)
        memory.append(Memory((loop.time() - began) * speed, daemon.resident_mib_of_all()))
        if len(memory) % 12 == 0:
            print(f"  {memory[-1].at / 60:5.1f} min  {memory[-1].mib:.0f} MiB", flush=True)


def examine(recording: Recording, memory: list[Memory], speed: float) -> Report:
    """Turn what was recorded into figures. Raises ValueError if the stream was shorter than the warm-up."""
    check_promises(recording)
    warm = [one for one in memory if one.at >= WARM_UP_S]
    if len(warm) < 3:
        raise ValueError(f"--minutes must be more than {WARM_UP_S / 60:g} for memory to be judged")
    lags = recording.lags()
    quarter = max(len(lags) // 4, 1)
    early, late = missed_by_place(recording)
    return Report(
        minutes=recording.speech.seconds / 60,
        speed=speed,
        memory_warm=percentile([one.mib for one in warm[: max(len(warm) // 10, 3)]], 50),
        memory_end=percentile([one.mib for one in warm[-max(len(warm) // 10, 3) :]], 50),
        memory_slope_per_hour=float(np.polyfit([one.at / 3600 for one in warm], [one.mib for one in warm], 1)[0]),
        lag_first_quarter=percentile(lags[:quarter], 50),
        lag_last_quarter=percentile(lags[-quarter:], 50),
        lag_p95=percentile(lags, 95),
        words=len(recording.speech.words),
        long_utterances=sum(a.message["end"] - a.message["start"] > 30 for a in recording.of("final")),
        missed_early=early,
        missed_late=late,
        skipped=len(list(skipped(recording))),
        doubled=len(list(doubled(recording))),
    )


def committed(recording: Recording) -> list[tuple[str, float, float]]:
    """Return text, start and end of every committed word."""
    return [
        (word["text"], word["start"], word["end"])
        for arrival in recording.of("commit")
        for word in arrival.message["words"]
    ]


def missed_by_place(recording: Recording) -> tuple[float, float]:
    """Return the share of words missed in the first seconds of utterances and later in them."""
    spoken = recording.speech.words
    heard = [text for word, _, _ in committed(recording) for text in words_of(word)]
    found = pair_words([word.text for word in spoken], heard)
    starts = [arrival.message["start"] for arrival in recording.of("speech_started")]
    early: list[bool] = []
    late: list[bool] = []
    for index, word in enumerate(spoken):
        at = word.start / SAMPLE_RATE
        utterance = max((start for start in starts if start <= at), default=at)
        (early if at - utterance < UNTRIMMED_S else late).append(index not in found)
    return sum(early) / max(len(early), 1), sum(late) / max(len(late), 1)


def skipped(recording: Recording) -> Iterator[str]:
    """Yield spoken words during which nothing was heard, with their time."""
    times = [(start, end) for _, start, end in committed(recording)]
    for word in recording.speech.words:
        start, end = word.start / SAMPLE_RATE, word.end / SAMPLE_RATE
        if not any(first < end and start < last for first, last in times):
            yield f"{word.text} at {start:.2f} s"


def doubled(recording: Recording) -> Iterator[str]:
    """Yield committed words that cover the same audio as the one before."""
    words = committed(recording)
    for (_, first, last), (text, start, end) in pairwise(words):
        overlap = min(last, end) - max(first, start)
        if overlap > 0.5 * max(min(last - first, end - start), 0.02):
            yield f"{text} at {start:.2f} s"


def describe(report: Report, command: str, model: str, where: str) -> str:
    """Write the table."""
    growth = report.memory_end - report.memory_warm
    return f"""# One long stream

`make bench`, or `{command}`

Model: {model}. Speech: {speech.source()}. Machine: {where}.

| what | found |
|---|---|
| speech | {report.minutes:.1f} minutes, {report.words} words, at {report.speed:g} times real time |
| utterances longer than the 30 s window | {report.long_utterances} |
| memory after {WARM_UP_S / 60:g} minutes, at the end | {report.memory_warm:.0f} MiB, {report.memory_end:.0f} MiB \
({growth:+.1f}; slope {report.memory_slope_per_hour:+.1f} MiB per hour of speech) |
| median lag, first quarter, last quarter | {report.lag_first_quarter:.2f} s, {report.lag_last_quarter:.2f} s \
(p95 of all {report.lag_p95:.2f} s) |
| words missed, first {UNTRIMMED_S:g} s of utterances, later | {report.missed_early:.1%}, {report.missed_late:.1%} |
| words skipped (nothing heard in their time) | {report.skipped} |
| words doubled (two for the same audio) | {report.doubled} |

Times are on the stream's own time line: at {report.speed:g} times real time the daemon has {report.speed:g} times the \
work of one live stream, and a lag of 1 s passes in {1 / report.speed:.2f} s.
"""


if __name__ == "__main__":
    main()
