"""Kill the recognizer's process at random moments while streams run; look for words lost, doubled or changed.

    python -m benchmarks.kills [--kills 1000] [--streams 4] [--speed 1] [--seed 1] [--minutes 60]

A real daemon with a recognizer that imports no torch and starts at once (tests/faulty): each 100 ms of the audio carry
their own number, so what comes out is compared with what went in word by word. Streams speak, utterance after
utterance; meanwhile the process is killed with SIGKILL: nine times of ten at a moment drawn between 0 and 3 s after it
has loaded, while it idles or decodes, and else at a moment drawn between 0 and 1 s after the last kill, which hits it
while it starts. It ends early after --minutes.

The time to the first caption is measured by each stream that speaks: from the kill to the first partial or commit after
the warning of it. Where another kill comes before there was a caption, the time begins anew, for only a process that
lives can answer; how long a stream was without captions over several kills is given too. Writes kills.md and kills.json
to `benchmarks/results/`; exits with 1 if a word is lost, doubled, swapped, foreign, changed, or in a gap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from time import monotonic
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.delays import percentile
from tests.faulty.speaker import Speaker
from tests.faulty.verdict import Verdict

MOST_LIFE_S = 3.0
"""Of a process that has loaded."""
MOST_PAUSE_S = 1.0
"""Between a kill and one that does not wait for that."""
PATIENT_SHARE = 0.9
"""Of the kills, those that wait until the process has loaded."""
LOOK_S = 0.03
TARGET_S = 2.0
SETTLE_S = 3.0
"""Before the first kill."""


@dataclass
class Round:
    """What was done and seen."""

    kills: list[float] = field(default_factory=list)
    """When, in seconds of the monotonic clock."""
    starting: int = 0
    """Of them, those that hit a process that had not loaded yet."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the last kill to the first caption after it, of each stream that was amid an utterance."""
    silences: list[float] = field(default_factory=list)
    """The same from the first kill since the last caption."""
    verdict: Verdict = field(default_factory=Verdict)
    words: int = 0
    seconds: float = 0.0
    """Of audio."""
    over: bool = False
    """Whether there are no more kills to come."""
    closed: int = 0
    """Streams that did not end with 1000."""


def main() -> None:
    """Kill, print and write."""
    parser = argparse.ArgumentParser(description="Kills of the recognizer's process.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--speed", type=float, default=1, help="times real time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="at most")
    options = parser.parse_args()
    where = machine.describe()
    began = monotonic()
    with running_daemon("demo", "--fault", "slow:0.01@every", program=("-m", "tests.faulty.daemon")) as daemon:
        rng = random.Random(options.seed)
        seen = asyncio.run(run(daemon, options, rng))
        causes = {name: value for name, value in daemon.metrics().items() if "worker_restarts_total" in name and value}
    table = describe(seen, causes, monotonic() - began, where, sys.argv[1:])
    machine.write("kills.md", table)
    raw = {
        "machine": where,
        "verdict": asdict(seen.verdict),
        "delays": seen.delays,
        "silences": seen.silences,
        "restarts": causes,
    }
    machine.write("kills.json", json.dumps(raw) + "\n")
    print(table)
    sys.exit(not (seen.verdict == Verdict() and not seen.closed))


async def run(daemon: Daemon, options: argparse.Namespace, rng: random.Random) -> Round:
    """Let streams speak until so many kills are done, or the time is over, and then to their end."""
    seen = Round()
    speakers = [Speaker(key, talk(random.Random(rng.random()), seen), options.speed) for key in range(options.streams)]
    end = monotonic() + 60 * options.minutes
    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speaker.run(daemon.port))
        await asyncio.sleep(SETTLE_S)
        while len(seen.kills) < options.kills and monotonic() < end:
            patient = rng.random() < PATIENT_SHARE
            while patient and not await is_up(daemon):  # noqa: ASYNC110  # what is waited for is in another process
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(rng.uniform(0, MOST_LIFE_S if patient else MOST_PAUSE_S))
            await kill(daemon, seen)
        seen.over = True
    seen.verdict = reduce(add, (speaker.verdict for speaker in speakers))
    seen.words = sum(len(speaker.said) for speaker in speakers)
    seen.seconds = sum(message["audio"] for speaker in speakers for message in speaker.of("done"))
    seen.closed = sum(speaker.close_code != 1000 for speaker in speakers)
    for speaker in speakers:
        for silence, delay in first_captions(speaker, seen.kills):
            seen.silences.append(silence)
            seen.delays.append(delay)
    return seen


def talk(rng: random.Random, seen: Round) -> Iterator[int]:
    """Yield lengths of utterances, in words of 100 ms, as long as there are kills."""
    while not seen.over:
        yield rng.randint(5, 80)


async def is_up(daemon: Daemon) -> bool:
    """Say whether the process has loaded."""
    return bool((await asyncio.to_thread(daemon.metrics))["streamer_worker_up"])


async def kill(daemon: Daemon, seen: Round) -> None:
    """Kill the recognizer's process, if there is one at this moment."""
    up = await is_up(daemon)
    for child in daemon.process.children():
        try:
            child.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
        seen.kills.append(monotonic())
        seen.starting += not up
        if len(seen.kills) % 50 == 0:
            print(f"  {len(seen.kills)} kills", flush=True)


def first_captions(speaker: Speaker, kills: list[float]) -> Iterator[tuple[float, float]]:
    """Yield the seconds to the first caption after a warning of kills: from the first of them, and from the last.

    Only where the stream was in an utterance all the time, for in silence there is nothing to say.
    """
    first: float | None = None
    last = 0.0
    warned = talking = False
    waiting = iter(kills)
    following = next(waiting, None)
    for at, message in zip(speaker.arrivals, speaker.messages, strict=True):
        while following is not None and following <= at:
            last, warned = following, False
            if first is None and talking:
                first = following
            following = next(waiting, None)
        warned = warned or (message["type"] == "warning" and message["code"] == "engine_restarted")
        talking = in_utterance(message, talking=talking)
        if first is not None and warned and message["type"] in {"partial", "commit"}:
            yield at - first, at - last
            first = None


def in_utterance(message: dict[str, Any], *, talking: bool) -> bool:
    """Say whether the stream speaks, after this message."""
    if message["type"] == "speech_started":
        return True
    return talking and message["type"] not in {"speech_ended", "done"}


def describe(seen: Round, causes: dict[str, float], seconds: float, where: str, flags: list[str]) -> str:
    """Write the table."""
    verdict, delays = seen.verdict, seen.delays
    late = sum(delay > TARGET_S for delay in delays)
    words = f"{verdict.lost}, {verdict.doubled}, {verdict.swapped}, {verdict.foreign}"
    times, silences = (
        ", ".join(f"p{share} {percentile(values, share):.2f} s" for share in (50, 95, 99))
        for values in (delays, seen.silences)
    )
    longest = f"longest {max(delays):.2f} s ({len(delays)} measured, {late} above {TARGET_S:g} s)"
    return f"""# Kills of the recognizer's process

`python -m benchmarks.kills {" ".join(flags)}`

Machine: {where}. {seconds / 60:.0f} minutes.

| what | found |
|---|---|
| kills (SIGKILL) | {len(seen.kills)}, {seen.starting} of them before the process had loaded |
| restarts, as the daemon counts them | {sum(causes.values()):.0f} |
| speech | {seen.words} words in {seen.seconds / 60:.0f} minutes of audio, each 100 ms a word of its own |
| words lost, doubled, swapped, of another stream | {words} |
| commits or finals that contradict earlier ones | {verdict.changed} |
| gaps, words in them | {verdict.gaps}, {verdict.in_gaps} |
| streams that were closed before their end | {seen.closed} |
| first caption after a kill, per stream that speaks | {times}, {longest} |
| the same from the first of several kills without a caption between | {silences}, longest {max(seen.silences):.2f} s |
"""


if __name__ == "__main__":
    main()
