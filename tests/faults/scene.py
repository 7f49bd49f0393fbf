"""One case: a daemon, good clients beside the fault, and what must be true of all of them afterwards.

What is looked at, whatever the fault:

* every good client has exactly the words it said, once, in order, with the times they must have, and nobody else's; so has
  who watches one of them;
* after the fault the daemon holds no more descriptors, threads, tasks, children and sessions than before, and not much
  more memory;
* its log has no error and no traceback that the case does not expect, few lines, each one event, and none of the words.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.delays import percentile
from model.types import SAMPLE_RATE
from tests.faults.daemon import State, Subject, started
from tests.faulty.speaker import FRAME_S, Speaker
from tests.faulty.spoken import BREATH, FRAME
from tests.faulty.verdict import Verdict
from tests.streamer.harness import Heard, converse

FIRST_KEY = 900
"""Of the good clients; words such as 903.17 are in no log for another reason."""
SPEED = 2.0
"""Times real time at which they speak."""
MOST_LINES = 100
"""Of the log, for one fault."""
MEMORY_MIB = 16.0
"""What a daemon may hold more than before: the allocator's own breathing."""
LAG_RATIO, LAG_S = 1.2, 0.25
"""How much more of a good client's audio may be undecided than without the fault, at the 99th percentile: so many times as
much, or so many seconds more where that is next to nothing."""
FLAGS = ("--watch.keep-s", "0.5")
"""Who watches may come late for ten minutes, otherwise: memory that is kept on purpose."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    id: str
    injected: str
    expected: str
    run: Callable[[Scene], Awaitable[None]]
    alone: bool = False
    """Whether the case starts its daemons itself."""
    flags: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """Of the recognizer."""
    prefix: tuple[str, ...] = ()
    """What runs the daemon."""
    neighbours: int = 10
    lines: int = 0
    """Of the log, beyond MOST_LINES: two for each session that the case opens are usual."""
    errors: int = 0
    """Error lines in the log that are right."""
    memory_mib: float = MEMORY_MIB
    again: bool = False
    """Whether the fault happens once before the base line is taken: what so much work makes an allocator keep is no leak,
    more of it is."""
    warned: bool = False
    """Whether good clients may be told warnings."""
    timely: bool = True
    """Whether good clients may not be told later than usual."""
    limit_s: float = 120.0
    less: str = ""
    """What the plan wants beyond what our protocol promises."""


@dataclass
class Scene:
    """What a case works with, and what it found."""

    case: Case
    rng: Random
    folder: Path
    count: int = 1
    """How many times as much as usual is done where that makes sense."""
    facts: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    speakers: list[Speaker] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    """What descriptors there are, if there are too many."""
    subject: Subject = field(init=False)

    @property
    def port(self) -> int:
        """Where the daemon listens."""
        return self.subject.port

    def saw(self, fact: str) -> None:
        """Note something for the table."""
        self.facts.append(fact)

    def expect(self, condition: object, complaint: str) -> None:
        """Note what is not as it should be."""
        if not condition:
            self.complaints.append(complaint)

    def start(self, *flags: str, **options: Any) -> Any:
        """Start a daemon of the case's own; see `started`."""
        return started(self.folder, *self.case.flags, *flags, **options)

    async def say(self, *messages: str | bytes | dict[str, Any], apart: bool = False) -> Heard:
        """Speak the native protocol and take what comes; `apart` in another process, so as not to hold up this one."""
        if apart:
            return await self.apart(say, self.port, messages)
        return await converse(self.subject, messages)

    async def apart(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a process of its own, for what is so much that the good clients here would be late."""
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    async def refused(self, code: str, close: int, *messages: str | bytes | dict[str, Any], what: str = "") -> Heard:
        """Say what must be answered with this error and this close code."""
        heard = await self.say(*messages)
        got = (heard.of("error")[-1]["code"] if heard.of("error") else None, heard.code)
        self.expect(
            got == (code, close), f"{what or short(messages)}: {code}, {close} expected, got {got[0]}, {got[1]}"
        )
        return heard


def say(port: int, messages: Sequence[str | bytes | dict[str, Any]]) -> Heard:
    """Speak the native protocol and take what comes."""
    return asyncio.run(converse(SimpleNamespace(port=port), messages))


def short(messages: tuple[object, ...]) -> str:
    """Return the beginning of what was said."""
    return repr(messages[-1])[:60] if messages else "nothing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    id: str
    seed: int
    injected: str
    expected: str
    seen: str
    wrong: str
    seconds: float
    less: str

    @property
    def passed(self) -> bool:
        """Whether all was as it should be."""
        return not self.wrong


async def perform(case: Case, seed: int, folder: Path, count: int = 1) -> Outcome:
    """Run a case, in a folder of its own."""
    scene = Scene(case, Random(f"{seed} {case.id}"), folder, count)
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(case.limit_s * count):
            await (case.run(scene) if case.alone else beside(scene))
    except* Exception as group:  # noqa: BLE001  # it is what came of the case
        scene.complaints += [f"{type(error).__name__}: {error}"[:300] for error in leaves(group)]
    return Outcome(
        id=case.id,
        seed=seed,
        injected=case.injected,
        expected=case.expected,
        seen="; ".join(scene.facts),
        wrong="; ".join(scene.complaints),
        seconds=round(clock() - began, 1),
        less=case.less,
    )


def leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    """Yield the exceptions of a group."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


async def beside(scene: Scene) -> None:
    """Run a case while good clients speak, and look at everything afterwards."""
    case = scene.case
    async with started(scene.folder, *FLAGS, *case.flags, faults=case.faults, prefix=case.prefix) as subject:
        scene.subject = subject
        usual = await undisturbed(scene)
        if case.again:
            await case.run(scene)
            scene.facts.clear()
        before = await subject.settled()
        if case.neighbours:
            await amid_speakers(scene, usual)
        else:
            lines = len(subject.log)
            await case.run(scene)
            check_log(scene, subject.log[lines:])
        after = await subject.settled(before)
        scene.kinds = dict(subject.kinds()) if after.exceeds(before) else {}
        check_state(scene, before, after)


async def undisturbed(scene: Scene) -> float:
    """Let as many clients speak without a fault, which warms the daemon up; return their lag."""
    over = asyncio.Event()
    over.set()
    speakers = [
        Speaker(FIRST_KEY - 100 + index, lengths(index, over), SPEED) for index in range(max(1, scene.case.neighbours))
    ]
    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speaker.run(scene.port))
    return p99_lag(speakers)


async def amid_speakers(scene: Scene, usual: float) -> None:
    """Run the case's fault while good clients speak, whose lag is `usual` without it."""
    over = asyncio.Event()
    scene.speakers = speakers = [
        Speaker(FIRST_KEY + index, lengths(scene.rng.randrange(2**30), over), SPEED)
        for index in range(scene.case.neighbours)
    ]
    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speaker.run(scene.port))
        await until(lambda: all(speaker.of("commit") or speaker.of("error") for speaker in speakers))
        watching = group.create_task(watch(scene.port, speakers[0].of("ready")[0]["session"]))
        lines = len(scene.subject.log)
        try:
            await scene.case.run(scene)
        finally:
            over.set()
    check_log(scene, scene.subject.log[lines:])
    check_speakers(scene)
    if scene.case.timely:
        check_lag(scene, usual)
    told = [(m["id"], m["text"]) for m in speakers[0].of("commit")]
    scene.expect(watching.result() == told, "who watched saw other commits than the client")


def lengths(seed: int, over: asyncio.Event, least: int = 3) -> Iterator[int]:
    """Yield words of utterances: some, and then more until it is over."""
    rng = Random(seed)
    while least > 0 or not over.is_set():
        least -= 1
        yield rng.randint(2, 12)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event of its own; the case's limit bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def watch(port: int, session: str) -> list[tuple[int, str]]:
    """Return the commits of a session as who watches it sees them."""
    commits: list[dict[str, Any]] = []
    async with connect(f"ws://127.0.0.1:{port}/v1/watch/{session}", proxy=None) as socket:
        try:
            while True:
                message = json.loads(await socket.recv())
                commits += message["commits"] if message["type"] == "watching" else []
                commits += [message] if message["type"] == "commit" else []
        except ConnectionClosed:
            pass
    return [(commit["id"], commit["text"]) for commit in commits]


def words_of(speaker: Speaker) -> list[tuple[str, float, float]]:
    """Return the words a speaker was told, with their times."""
    return [
        (word["text"], round(word["start"], 3), round(word["end"], 3))
        for commit in speaker.of("commit")
        for word in commit["words"]
    ]


def words_said(speaker: Speaker) -> list[tuple[str, float, float]]:
    """Return the words it should be told: this is what it gets when nothing is wrong, to the sample."""
    return [
        (f"{speaker.key}.{number}", round(at * FRAME_S, 3), round(((at + 1) * FRAME - BREATH) / SAMPLE_RATE, 3))
        for number, at in speaker.said.items()
    ]


def check_speakers(scene: Scene) -> None:
    """Compare what the good clients were told with what they said."""
    for speaker in scene.speakers:
        who = f"good client {speaker.key}"
        scene.expect(speaker.verdict == Verdict(), f"{who}: {speaker.verdict}")
        scene.expect(speaker.close_code == 1000, f"{who}: closed with {speaker.close_code}")
        scene.expect(words_of(speaker) == words_said(speaker), f"{who}: words or times differ from an undisturbed run")
        scene.expect(scene.case.warned or not speaker.warnings, f"{who}: warned of {speaker.warnings}")
    said = sum(len(speaker.said) for speaker in scene.speakers)
    right = sum(speaker.verdict == Verdict() for speaker in scene.speakers)
    scene.saw(f"{right} of {len(scene.speakers)} good clients right ({said} words)")


def check_lag(scene: Scene, usual: float) -> None:
    """Compare how late the good clients' words were with what is usual."""
    lag = p99_lag(scene.speakers)
    scene.expect(lag <= max(LAG_RATIO * usual, usual + LAG_S), f"lag p99 {lag:.2f} s, {usual:.2f} s without the fault")
    scene.saw(f"lag p99 {lag:.2f} s ({usual:.2f} s without)")


def p99_lag(speakers: list[Speaker]) -> float:
    """Return what was undecided of the audio, in seconds of real time, at the 99th percentile."""
    lags = [m["lag"] for speaker in speakers for m in speaker.messages if m.get("lag") is not None]
    return percentile(lags, 99) / SPEED if lags else 0.0


def check_log(scene: Scene, lines: list[str]) -> None:
    """Look for what should not be in the log since the fault."""
    events: list[dict[str, Any]] = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            scene.expect(False, f"a log line that is no event: {line[:80]!r}")
    errors = [event for event in events if event["level"] in {"ERROR", "CRITICAL"} or "traceback" in event]
    if len(errors) > scene.case.errors:
        scene.expect(False, f"{len(errors)} errors in the log, the first: {errors[0]['message']}")
    room = MOST_LINES + 4 * len(scene.speakers) + scene.case.lines * scene.count
    scene.expect(len(lines) <= room, f"{len(lines)} lines in the log")
    spoken = [line for line in lines if re.search(r"\b9\d\d\.\d+\b", line)]
    scene.expect(not spoken, f"words in the log: {spoken[:1]}")
    if lines:
        scene.saw(f"{len(lines)} log lines")


def check_state(scene: Scene, before: State, after: State) -> None:
    """Compare what the daemon holds with what it held before."""
    more = after.exceeds(before)
    growth = after.memory_mib - before.memory_mib
    scene.expect(not more, f"left over: {more}{f' ({scene.kinds})' if scene.kinds else ''}")
    scene.expect(growth <= scene.case.memory_mib, f"{growth:+.1f} MiB of memory")
    scene.saw(f"nothing left over, {growth:+.1f} MiB" if not more else f"left over: {more}")
