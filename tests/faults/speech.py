"""Faults under the real recognizer: digits that people said, through a daemon with the demo model.

    python -m tests.faults.speech [--seconds 40] [--speed 2] [--seed 1]

The other cases have a recognizer that reads numbers, so that a word that is lost, doubled or changed is seen for certain.
Here it is Whisper, which mishears: the same speech goes through the same daemon without a fault and with it, and the
faulty run must have as many words and no more errors than the other, give or take MARGIN; commits are 1, 2, 3 … and no
utterance's text differs from the join of its commits; nothing is a gap. Where only a neighbour misbehaves, the text must
be the very same.

Writes faults_speech.md to `benchmarks/results/`; exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

import numpy as np

from benchmarks import machine
from benchmarks.speech import Speech, source, speak
from clients.resuming import connect_resuming
from clients.resuming_stream import ResumingStream
from model.text.word_errors import word_errors
from model.types import SAMPLE_RATE
from streamer.protocols import messages
from tests.clients.proxy import Proxy, proxied
from tests.faults.daemon import Subject, started
from tests.faults.garbage import throw
from tests.faults.raw import BINARY, TEXT, frame, raw
from tests.faults.strikes import cut_links, kill_worker, stop_worker

MARGIN = 1
"""Word errors that another moment of decoding may cost."""
CHUNK = SAMPLE_RATE // 10
PAUSE_S = 3.0
"""Between two faults; the first comes as long after the first word."""


@dataclass
class Heard:
    """What one client was told of its speech."""

    commits: list[messages.Commit] = field(default_factory=list)
    finals: list[messages.Final] = field(default_factory=list)
    gaps: int = 0
    warnings: list[str] = field(default_factory=list)
    done: bool = False

    @property
    def words(self) -> list[str]:
        """Words of all commits."""
        return " ".join(word.text for commit in self.commits for word in commit.words).split()

    def wrong(self) -> str:
        """Say what no speech and no fault may lead to; nothing if all is well."""
        if [commit.id for commit in self.commits] != list(range(1, len(self.commits) + 1)):
            return "commits are not 1, 2, 3 …"
        for final in self.finals:
            text = "".join(commit.text for commit in self.commits if commit.utterance == final.utterance)
            if final.text.strip() != text.strip():
                return f"utterance {final.utterance} is {final.text!r}, its commits {text!r}"
        if self.gaps:
            return f"{self.gaps} gaps"
        return "" if self.done else "no end"


@dataclass
class Stage:
    """A daemon, a proxy before it, and how to start another one in its place."""

    subject: Subject
    proxy: Proxy
    rng: Random
    restart: Callable[[], Awaitable[None]]


async def listen(stage: Stage, speech: Speech, speed: float, began: asyncio.Event) -> Heard:
    """Speak in real time, times `speed`; return what came."""
    heard = Heard()
    address = f"ws://127.0.0.1:{stage.proxy.listening}"
    async with connect_resuming(address, live=True) as stream, asyncio.TaskGroup() as group:
        group.create_task(say(stream, speech, speed))
        async for message in stream:
            match message:
                case messages.Commit():
                    heard.commits.append(message)
                    began.set()
                case messages.Final():
                    heard.finals.append(message)
                case messages.Gap():
                    heard.gaps += 1
                case messages.Warning(code):
                    heard.warnings.append(code)
                case messages.Done():
                    heard.done = True
    return heard


async def say(stream: ResumingStream, speech: Speech, speed: float) -> None:
    start = monotonic()
    for at in range(0, len(speech.samples), CHUNK):
        await asyncio.sleep(start + at / SAMPLE_RATE / speed - monotonic())
        await stream.send_audio(speech.samples[at : at + CHUNK])
    await stream.stop()


async def hold_links(stage: Stage) -> None:
    stage.proxy.hold()
    await asyncio.sleep(12)  # longer than the client takes it for slow
    stage.proxy.release()


async def kill_daemon(stage: Stage) -> None:
    stage.subject.signal(signal.SIGKILL)
    await stage.restart()


async def bad_neighbours(stage: Stage) -> None:
    port, noise = stage.subject.port, np.random.default_rng(stage.rng.randrange(2**30)).uniform(-1, 1, 16_000 * 5)
    nan = np.full(8000, np.nan, "<f4").tobytes()
    start = frame(TEXT, b'{"type":"start","encoding":"pcm_f32le"}')
    await raw(port, start, frame(BINARY, nan))
    await raw(port, start, frame(BINARY, noise.astype("<f4").tobytes()), frame(TEXT, b'{"type":"stop"}'))
    await throw(port, stage.rng, 200)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done, how often, and whether it may be felt at all."""

    do: Callable[[Stage], Awaitable[None]]
    times: int
    felt: bool = True


FAULTS: Final[dict[str, Fault]] = {
    "recognizer killed": Fault(kill_worker, 3),
    "recognizer stopped": Fault(stop_worker, 1),
    "links reset": Fault(cut_links, 4),
    "links held for 12 s": Fault(hold_links, 1),
    "daemon killed": Fault(kill_daemon, 2),
    "NaN, full-scale noise and 200 bad connections beside it": Fault(bad_neighbours, 2, felt=False),
}


@asynccontextmanager
async def staged(folder: Path, rng: Random) -> AsyncIterator[Stage]:
    """Run a daemon with the demo model and a journal on the disk."""
    flags = ("--journal.path", str(folder / "journal.sqlite"), "--log.level", "WARNING")
    program = ("streamer", "serve", "--model.name", "demo")
    async with asyncio.TaskGroup() as group:
        stage: Stage
        over = asyncio.Event()
        up: asyncio.Queue[Subject] = asyncio.Queue()

        async def live(port: int) -> None:
            async with started(folder, *flags, "--server.port", str(port), program=program) as subject:
                up.put_nowait(subject)
                ending = group.create_task(over.wait())
                await asyncio.wait([group.create_task(subject.process.wait()), ending], return_when="FIRST_COMPLETED")
                ending.cancel()

        async def restart() -> None:
            group.create_task(live(stage.subject.port))
            stage.subject = await up.get()

        group.create_task(live(0))
        subject = await up.get()
        async with proxied(subject.port) as proxy:
            stage = Stage(subject, proxy, rng, restart)
            yield stage
        over.set()


async def suffer(stage: Stage, fault: Fault, speech: Speech, speed: float) -> Heard:
    """Speak while a fault happens, again and again."""
    began = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen(stage, speech, speed, began))
        await began.wait()
        for _ in range(fault.times):
            await asyncio.sleep(PAUSE_S * stage.rng.uniform(0.7, 1.3))
            await fault.do(stage)
    return listening.result()


def compare(heard: Heard, usual: Heard, said: list[str], *, felt: bool) -> str:
    """Say what is wrong with what was heard; nothing if all is well."""
    if wrong := heard.wrong():
        return wrong
    errors, before = word_errors(heard.words, said), word_errors(usual.words, said)
    if errors > before + MARGIN:
        return f"{errors} word errors, {before} without the fault"
    if not felt and heard.words != usual.words:
        return f"{' '.join(heard.words)!r} instead of {' '.join(usual.words)!r}"
    return ""


async def run(options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Do everything, each fault to a daemon of its own; return rows of the table."""
    rows = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        speech = speak(options.seconds, options.seed + number)
        said = [word.text for word in speech.words]
        with TemporaryDirectory(prefix="faults-") as folder:
            async with staged(Path(folder), Random(f"{options.seed} {name}")) as stage:
                usual = await listen(stage, speech, options.speed, asyncio.Event())
                heard = await suffer(stage, fault, speech, options.speed)
        wrong = usual.wrong() or compare(heard, usual, said, felt=fault.felt)
        errors = [f"{word_errors(one.words, said)} of {len(said)}" for one in (usual, heard)]
        warned = ", ".join(sorted(set(heard.warnings))) or "–"
        rows.append((name, str(fault.times), *errors, warned, wrong or "pass"))
        print(" | ".join(rows[-1]), flush=True)
    return rows


def describe(rows: list[tuple[str, ...]], where: str, command: str) -> str:
    """Write the table."""
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# Faults while people speak

`{command}`

{source()[0].upper()}{source()[1:]}, demo model. Machine: {where}.

| fault | times | word errors without it | with it | warnings | |
|---|---|---|---|---|---|
{lines}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if all is well; arguments: of the command line, None for the process's own."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.speech", description="Faults while people speak.")
    parser.add_argument("--seconds", type=float, default=40, help="of speech, for each run")
    parser.add_argument("--speed", type=float, default=2, help="times real time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    where = machine.describe()
    rows = asyncio.run(run(options))
    command = (
        f"python -m tests.faults.speech --seconds {options.seconds:g} --speed {options.speed:g} --seed {options.seed}"
    )
    machine.write("faults_speech.md", describe(rows, where, command))
    return any(row[-1] != "pass" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
