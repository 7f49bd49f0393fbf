"""A day in an hour, or a day: a fault every minute while streams come and go, speak and keep silent.

    python -m tests.faults.soak --hours 24
    python -m tests.faults.soak --hours 1 --fault-s 60 --streams 12

A real daemon with a journal and a recognizer that numbers itself. Streams of random length come and go all the time: some
plain, some that resume through a proxy, some silent, some watched. Every minute one of the faults below happens, in random
order. Every word of every stream is judged when it ends. Memory, descriptors, threads and tasks are looked at every ten
seconds, and lag is what clients were told.

Writes soak_faults.md and soak_faults.json to `benchmarks/results/`. Exits with 1 if a word was lost, doubled, swapped, changed
or foreign, if memory grows by more than 1 MiB an hour after the warm-up (and by more than the allocator's own breathing),
or if lag grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

import numpy as np

from benchmarks import machine
from benchmarks.delays import percentile
from tests.clients.proxy import Proxy, proxied
from tests.faults.daemon import Subject, started
from tests.faults.garbage import throw
from tests.faults.load import deaf
from tests.faults.raw import BINARY, TEXT, frame, raw, upgrade
from tests.faults.record import RESULTS
from tests.faults.resumer import Resumer
from tests.faults.scene import watch
from tests.faults.strikes import cut_links, kill_worker, stop_worker
from tests.faulty.speaker import Speaker
from tests.faulty.verdict import Verdict

LOOK_S = 10.0
BREATHING_MIB = 8.0
SLOPE_MIB = 1.0
LAG_S = 0.5
KEYS = 900


@dataclass
class Soak:
    """What runs, and what was seen of it."""

    subject: Subject
    proxy: Proxy
    rng: Random
    over: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=monotonic)
    verdict: Verdict = field(default_factory=Verdict)
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    words: int = 0
    lags: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the beginning, and the median lag of a stream that ended then."""
    looks: list[dict[str, float]] = field(default_factory=list)

    @property
    def at(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self.began

    def judge(self, speaker: Speaker | Resumer, kind: str, end: str) -> None:
        """Count a stream that has ended."""
        verdict = speaker.verdict
        self.verdict += verdict
        self.words += len(speaker.said)
        self.ends[f"{kind}: {end}"] += 1
        if not verdict.sound:
            self.wrong.append(f"{self.at:.0f} s, {kind} {speaker.key}, {end}: {verdict}")
        lags = [message["lag"] for message in speaker.messages if message.get("lag") is not None]
        if lags:
            self.lags.append((self.at, percentile(lags, 50)))


def talk(rng: Random) -> Iterator[int]:
    """Yield utterances of a stream: speech and silence."""
    for _ in range(rng.randint(3, 25)):
        yield rng.choice([0, 0, 1, 4, 9, 16])


async def stream(soak: Soak, key: int) -> None:
    """Be one of the streams after another, until it is over."""
    rng = Random(soak.rng.randrange(2**30))
    while not soak.over.is_set():
        if rng.random() < 0.5:
            plain = Speaker(key, talk(rng), speed=1)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(plain.run(soak.subject.port))
                if rng.random() < 0.3:
                    group.create_task(viewing(soak, plain))
                await asyncio.wait([task])
            errors = plain.of("error")
            soak.judge(plain, "plain", errors[0]["code"] if errors else str(plain.close_code))
        else:
            resuming = Resumer(key, talk(rng))
            await resuming.run(f"127.0.0.1:{soak.proxy.listening}")
            soak.judge(
                resuming, "resuming", "done" if resuming.of("done") else resuming.failure.partition(":")[0] or "no end"
            )
        await asyncio.sleep(rng.uniform(0, 2))


async def viewing(soak: Soak, speaker: Speaker) -> None:
    """Watch a stream, and compare what is seen."""
    while not speaker.of("ready"):  # a list has no event
        if speaker.of("error"):
            return
        await asyncio.sleep(0.05)
    seen = await watch(soak.subject.port, speaker.of("ready")[0]["session"])
    if seen != [(commit["id"], commit["text"]) for commit in speaker.of("commit")]:
        soak.wrong.append(f"{soak.at:.0f} s: who watched {speaker.key} saw other commits")


async def hold_links(soak: Soak) -> None:
    soak.proxy.hold()
    await asyncio.sleep(soak.rng.uniform(1, 15))
    soak.proxy.release()


async def half_close(soak: Soak) -> None:
    soak.proxy.half_close()


async def garbage(soak: Soak) -> None:
    await throw(soak.subject.port, soak.rng, 300)


async def deaf_client(soak: Soak) -> None:
    reader, writer = await asyncio.open_connection(sock=deaf(soak.subject.port), limit=4096)
    try:
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(TEXT, b'{"type":"start"}'))
        flush = frame(TEXT, b'{"type":"flush","id":"' + b"x" * 128 + b'"}') * 100
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(30):
                while not writer.transport.is_closing():
                    writer.write(flush)
                    await writer.drain()
    finally:
        writer.transport.abort()


async def bad_samples(soak: Soak) -> None:
    nan = np.full(8000, np.nan, "<f4").tobytes()
    await raw(soak.subject.port, frame(TEXT, b'{"type":"start","encoding":"pcm_f32le"}'), frame(BINARY, nan))


async def half_open(soak: Soak) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", soak.subject.port) for _ in range(100)]
    await asyncio.sleep(12)
    for _, writer in opened:
        writer.transport.abort()


FAULTS: Final[dict[str, Callable[[Soak], Awaitable[None]]]] = {
    "recognizer killed": kill_worker,
    "recognizer stopped": stop_worker,
    "links reset": cut_links,
    "links held": hold_links,
    "links half closed": half_close,
    "300 bad connections": garbage,
    "client that never reads": deaf_client,
    "NaN": bad_samples,
    "100 half-open connections": half_open,
}


async def trouble(soak: Soak, pause_s: float) -> None:
    """Make one fault after another, in random order, each as often as the others."""
    left: list[str] = []
    while True:
        await asyncio.sleep(pause_s)
        if not left:
            left = list(FAULTS)
            soak.rng.shuffle(left)
        name = left.pop()
        try:
            async with asyncio.timeout(60):
                await FAULTS[name](soak)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            soak.wrong.append(f"{soak.at:.0f} s, {name}: {error!r}")
        soak.faults[name] += 1


async def look(soak: Soak) -> None:
    """Note what the daemon holds, again and again."""
    while True:
        await asyncio.sleep(LOOK_S)
        with suppress(OSError, TimeoutError):
            soak.looks.append({"at": soak.at, **asdict(await soak.subject.state())})
        if len(soak.looks) % 6 == 0:
            last = soak.looks[-1]
            print(
                f"  {soak.at / 60:5.1f} min  {last['memory_mib']:.0f} MiB, {last['descriptors']} descriptors, "
                f"{last['tasks']} tasks, {soak.words} words, {len(soak.wrong)} wrong",
                flush=True,
            )


async def run(options: argparse.Namespace, folder: Path) -> Soak:
    """Let it happen for so long."""
    rng = Random(options.seed)
    flags = ("--journal.path", str(folder / "journal.sqlite"), "--journal.retention-s", "120", "--watch.keep-s", "30")
    async with (
        started(folder, *flags, "--server.send-timeout-s", "5", "--log.level", "WARNING") as subject,
        proxied(subject.port) as proxy,
    ):
        soak = Soak(subject, proxy, rng)
        async with asyncio.TaskGroup() as group:
            streams = [group.create_task(stream(soak, KEYS + n)) for n in range(options.streams)]
            others = [group.create_task(trouble(soak, options.fault_s)), group.create_task(look(soak))]
            await asyncio.sleep(options.hours * 3600)
            soak.over.set()
            others[0].cancel()
            await asyncio.wait(streams, timeout=180)
            others[1].cancel()
            for task in streams:
                task.cancel()
        if subject.process.returncode is not None:
            soak.wrong.append(f"the daemon ended with {subject.process.returncode}")
        errors = [line for line in subject.log if "protocol.data_received" in line or "session failed" in line]
        soak.wrong += [f"log: {line[:200]}" for line in errors[:5]]
        return soak


@dataclass(frozen=True, slots=True)
class Report:
    """Figures. Memory in MiB, lag in seconds."""

    hours: float
    warm_up_s: float
    streams: int
    words: int
    memory_warm: float
    memory_end: float
    slope_per_hour: float
    lag_first: float
    lag_last: float
    most_descriptors: int
    most_tasks: int
    sound: bool


def examine(soak: Soak, hours: float, fault_s: float) -> Report:
    """Turn what was seen into figures. Raises ValueError for a run that was too short to say anything.

    Warm is a daemon to which each fault has happened once: after that nothing happens to it for the first time.
    """
    warm_up = min(fault_s * (len(FAULTS) + 1), hours * 3600 / 3)
    warm = [one for one in soak.looks if one["at"] >= warm_up]
    if len(warm) < 6 or len(soak.lags) < 8:
        raise ValueError("too short: give it some minutes")
    tenth = max(len(warm) // 10, 3)
    memory = [percentile([one["memory_mib"] for one in part], 50) for part in (warm[:tenth], warm[-tenth:])]
    lags = [
        percentile([lag for _, lag in part], 50)
        for part in (soak.lags[: len(soak.lags) // 4], soak.lags[-len(soak.lags) // 4 :])
    ]
    slope = float(np.polyfit([one["at"] / 3600 for one in warm], [one["memory_mib"] for one in warm], 1)[0])
    flat = slope <= SLOPE_MIB or memory[1] - memory[0] <= BREATHING_MIB
    return Report(
        hours=hours,
        warm_up_s=warm_up,
        streams=sum(soak.ends.values()),
        words=soak.words,
        memory_warm=memory[0],
        memory_end=memory[1],
        slope_per_hour=slope,
        lag_first=lags[0],
        lag_last=lags[1],
        most_descriptors=int(max(one["descriptors"] for one in warm)),
        most_tasks=int(max(one["tasks"] for one in warm)),
        sound=flat and soak.verdict.sound and not soak.wrong and lags[1] - lags[0] <= LAG_S,
    )


def describe(soak: Soak, report: Report, command: str) -> str:
    """Write the table."""
    verdict = soak.verdict
    faults = ", ".join(f"{count} × {name}" for name, count in soak.faults.most_common())
    ends = ", ".join(f"{count} {name}" for name, count in soak.ends.most_common())
    return f"""# A fault every minute

`{command}`; for a day `python -m tests.faults.soak --hours 24`

Machine: {machine.describe()}.

| what | found |
|---|---|
| time | {report.hours * 60:.0f} minutes, {report.warm_up_s / 60:.1f} of them warm-up |
| faults | {faults} |
| streams and how they ended | {ends} |
| words said | {report.words} |
| words lost, doubled, swapped, foreign; commits changed | {verdict.lost}, {verdict.doubled}, {verdict.swapped}, \
{verdict.foreign}; {verdict.changed} |
| gaps, words in them | {verdict.gaps}, {verdict.in_gaps} |
| memory of the daemon after the warm-up, at the end | {report.memory_warm:.1f}, {report.memory_end:.1f} MiB (slope \
{report.slope_per_hour:+.1f} MiB an hour) |
| median lag, first quarter, last quarter | {report.lag_first:.2f} s, {report.lag_last:.2f} s |
| descriptors, tasks at most | {report.most_descriptors}, {report.most_tasks} |
| anything else that was wrong | {"; ".join(soak.wrong[:5]) or "nothing"} |
"""


def main() -> int:
    """Return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A fault every minute.")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--fault-s", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS.parent)
    options = parser.parse_args()
    command = f"python -m tests.faults.soak --hours {options.hours:g} --fault-s {options.fault_s:g} --streams {options.streams}"
    with TemporaryDirectory(prefix="soak-") as folder:
        soak = asyncio.run(run(options, Path(folder)))
    report = examine(soak, options.hours, options.fault_s)
    table = describe(soak, report, command)
    (options.results / "soak_faults.md").write_text(table)
    told = {"report": asdict(report), "verdict": asdict(soak.verdict), "wrong": soak.wrong, "looks": soak.looks}
    (options.results / "soak_faults.json").write_text(json.dumps(told, indent=1) + "\n")
    print(table)
    return not report.sound


if __name__ == "__main__":
    sys.exit(main())
