"""C: the recognizer's process and the daemon's die, hang, stop and run out of things."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import psutil

from streamer.commands.outcome import Exit
from tests.faults.daemon import StartError, Subject, started
from tests.faults.elsewhere import both, proved
from tests.faults.load import deaf
from tests.faults.raw import TEXT, frame, get, upgrade
from tests.faults.resumer import Resumer
from tests.faults.scene import FIRST_KEY, Case, Scene, lengths, until
from tests.faulty.speaker import FRAME_S, Speaker
from tests.faulty.verdict import Verdict, judge

BAD_KEY = FIRST_KEY - 2


async def restarts(scene: Scene) -> float:
    """Return how often the recognizer's process was replaced."""
    _, body = await get(scene.port, "/metrics")
    return sum(
        float(line.split()[-1]) for line in body.splitlines() if line.startswith("streamer_worker_restarts_total")
    )


async def recognising(scene: Scene) -> None:
    """Wait until there is a recognizer again."""
    while (await get(scene.port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.05)


async def kills(scene: Scene) -> None:
    count = 10 * scene.count
    for _ in range(count):
        await asyncio.sleep(scene.rng.uniform(0.0, 0.8))
        with suppress(psutil.Error, AttributeError):
            scene.subject.worker.kill()
    await recognising(scene)
    scene.saw(f"{count} kills, {await restarts(scene):.0f} restarts")


async def crashes(scene: Scene) -> None:
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL):
        await asyncio.sleep(scene.rng.uniform(0.2, 0.8))
        await recognising(scene)
        with suppress(psutil.Error, AttributeError):
            scene.subject.worker.send_signal(number)
    while await restarts(scene) < 5:  # noqa: ASYNC110  # another process, which ends itself in time
        await asyncio.sleep(0.1)
    await recognising(scene)
    scene.saw(f"four signals and an exit with 0: {await restarts(scene):.0f} restarts")


async def stopped_worker(scene: Scene) -> None:
    began = monotonic()
    before = await restarts(scene)
    worker = scene.subject.worker
    worker.suspend()
    while await restarts(scene) == before:  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.05)
    noticed = monotonic() - began
    await recognising(scene)
    scene.expect(not worker.is_running(), "the stopped process is still there")
    scene.expect(noticed < 10, f"noticed after {noticed:.1f} s")
    scene.saw(f"killed after {noticed:.1f} s, recognising again after {monotonic() - began:.1f} s")


async def until_restarted(scene: Scene) -> None:
    """Wait for what the recognizer was told to do wrong at its 200th batch."""
    while await restarts(scene) < 1:  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.05)
    began = monotonic()
    await recognising(scene)
    told = [event for event in scene.subject.events if event["level"] in {"WARNING", "ERROR"}]
    scene.saw(
        f"{await restarts(scene):.0f} restart ({told[-1]['message'] if told else ''}), recognising {monotonic() - began:.1f} s after it"
    )


async def failing_stream(scene: Scene) -> None:
    bad = Speaker(BAD_KEY, [6, 6], speed=2)
    await bad.run(scene.port)
    scene.expect(bad.verdict.sound and bad.verdict.in_gaps == len(bad.said), f"the failing stream: {bad.verdict}")
    scene.expect(bad.close_code == 1000, f"the failing stream: closed with {bad.close_code}")
    scene.expect(await restarts(scene) == 0, "the process was replaced for it")
    scene.saw(
        f"{bad.verdict.in_gaps} words of the failing stream are in its gaps, and it goes on to its end; no restart"
    )


async def out_of_memory(scene: Scene) -> None:
    await asyncio.sleep(2)
    halved = [event for event in scene.subject.events if "hal" in event["message"] or "memory" in event["message"]]
    scene.expect(halved, "nothing in the log")
    scene.saw(
        f"batches of more than 4 windows run out of memory: {halved[0]['message'] if halved else ''}; {await restarts(scene):.0f} restarts"
    )


async def crash_loop(scene: Scene) -> None:
    async with scene.start(faults=["exit@start>"]) as scene.subject:
        scene.subject.worker.kill()
        await asyncio.sleep(8)
        ready, _ = await get(scene.port, "/readyz")
        healthy, _ = await get(scene.port, "/healthz")
        late = Speaker(1, [3])
        await late.run(scene.port)
        count = await restarts(scene)
        code = late.of("error")[0]["code"] if late.of("error") else None
        scene.expect((ready, healthy) == (503, 200), f"/readyz {ready}, /healthz {healthy}")
        scene.expect((code, late.close_code) == ("not_ready", 1013), f"a new stream: {code}, {late.close_code}")
        scene.expect(count <= 8, f"{count} restarts in 8 s")
        scene.expect(len(scene.subject.log) <= 100, f"{len(scene.subject.log)} lines in the log")
        scene.saw(
            f"{count:.0f} attempts in 8 s, {len(scene.subject.log)} log lines, /readyz 503, /healthz 200, new streams `not_ready`, 1013"
        )
    for fault, wanted in (("config@start", Exit.CONFIGURATION), ("refuse@start", Exit.UNAVAILABLE)):
        try:
            async with started(scene.folder, faults=[fault]):
                scene.expect(False, f"{fault}: it starts")
        except StartError as error:
            scene.expect(error.status == wanted, f"{fault}: ends with {error.status}")
    scene.saw("bad settings at the start: 78, a model that is not there: 69")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


Lives = Callable[[Subject, int], Awaitable[None]]


async def lives_of_daemons(scene: Scene, ends: int, end: Lives, *flags: str, **options: object) -> None:
    """Let clients that resume speak while daemons with one journal follow each other; check what they were told."""
    over = asyncio.Event()
    port = free_port()
    journal = str(scene.folder / "journal.sqlite")
    speakers = [Resumer(FIRST_KEY + n, lengths(scene.rng.randrange(2**30), over, 1)) for n in range(4)]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for life in range(ends + 1):
            async with scene.start(
                "--server.port", str(port), "--journal.path", journal, *flags, **options
            ) as scene.subject:
                if not tasks:
                    tasks = [group.create_task(speaker.run(f"127.0.0.1:{port}")) for speaker in speakers]
                if life < ends:
                    await end(scene.subject, life)
                else:
                    await asyncio.sleep(1)
                    over.set()
                    await asyncio.wait(tasks)
    verdicts = sum((speaker.verdict for speaker in speakers), Verdict())
    said = sum(len(speaker.said) for speaker in speakers)
    for speaker in speakers:
        scene.expect(speaker.verdict == Verdict(), f"{speaker.key}: {speaker.verdict}")
        scene.expect(speaker.of("done"), f"{speaker.key}: no end: {speaker.failure}")
    scene.saw(
        f"{ends} ends, {len(speakers)} clients, {said} words: {verdicts.lost} lost, {verdicts.doubled} doubled, {verdicts.changed} changed, {verdicts.gaps} gaps"
    )


async def daemon_kills(scene: Scene) -> None:
    async def kill(subject: Subject, _: int) -> None:
        await asyncio.sleep(scene.rng.uniform(0.2, 2.5))
        subject.process.kill()
        await subject.process.wait()

    await lives_of_daemons(scene, 12 * scene.count, kill)


async def upgrade_daemon(scene: Scene) -> None:
    statuses = []

    async def terminate(subject: Subject, _: int) -> None:
        await asyncio.sleep(scene.rng.uniform(1, 2))
        subject.process.terminate()
        statuses.append(await subject.process.wait())

    await lives_of_daemons(scene, 4, terminate)
    scene.expect(set(statuses) == {0}, f"exit statuses {statuses}")


async def drain(scene: Scene, count: int, dead: int, bound_s: float) -> None:
    """Stop a daemon while clients speak, some of which read nothing."""
    over = asyncio.Event()
    flags = (
        "--server.max-sessions",
        "400",
        "--server.max-load",
        "0",
        "--server.drain-timeout-s",
        "5",
        "--server.send-timeout-s",
        "3",
    )
    async with scene.start(*flags) as scene.subject:
        speakers = [Speaker(n, lengths(n, over), speed=1) for n in range(count)]
        stalled = []
        for _ in range(dead):
            reader, writer = await asyncio.open_connection(sock=deaf(scene.port), limit=4096)
            writer.write(upgrade())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                frame(TEXT, b'{"type":"start"}') + frame(TEXT, b'{"type":"flush","id":"' + b"x" * 128 + b'"}') * 20_000
            )
            stalled.append(writer)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(speaker.run(scene.port)) for speaker in speakers]
            await until(lambda: all(speaker.of("commit") for speaker in speakers))
            began = monotonic()
            scene.subject.process.terminate()
            await asyncio.wait(tasks)
            heard = monotonic() - began
            status = await scene.subject.process.wait()
            took = monotonic() - began
        for writer in stalled:
            writer.transport.abort()
    for speaker in speakers:
        done = speaker.of("done")
        received = done[0]["audio"] if done else 0.0
        said = {number: at for number, at in speaker.said.items() if (at + 1) * FRAME_S <= received + 1e-6}
        cut = len(speaker.said) > len(said)
        verdict = judge(speaker.key, speaker.said if cut else said, speaker.messages)
        lost = judge(speaker.key, speaker.said, speaker.messages).lost - (len(speaker.said) - len(said))
        scene.expect(done and speaker.close_code == 1012, f"{speaker.key}: closed with {speaker.close_code}")
        scene.expect(
            lost <= 0 and not verdict.doubled and not verdict.changed and not verdict.swapped,
            f"{speaker.key}: {verdict}",
        )
    scene.expect(status == 0, f"exit status {status}")
    scene.expect(took < bound_s, f"{took:.1f} s")
    scene.saw(
        f"{count} clients had their last words, `done` and 1012 within {heard:.2f} s, exit {status} after {took:.2f} s"
        + (f", {dead} clients read nothing" if dead else "")
    )


async def sigterm(scene: Scene) -> None:
    await drain(scene, 100, 0, 10)
    async with started(scene.folder, "--server.drain-timeout-s", "30", faults=["hang@2"]) as scene.subject:
        stuck = asyncio.create_task(Speaker(1, [20], speed=2).run(scene.port))
        await asyncio.sleep(1.5)
        scene.subject.process.terminate()
        await asyncio.sleep(0.5)
        began = monotonic()
        scene.subject.process.terminate()
        await scene.subject.process.wait()
        took = monotonic() - began
        await asyncio.wait([stuck])
    scene.expect(took < 5, f"after the second SIGTERM: {took:.1f} s")
    scene.saw(f"a second SIGTERM, with a recognizer that hangs: {took:.1f} s")


async def sigterm_with_dead(scene: Scene) -> None:
    await drain(scene, 50, 5, 14)


@asynccontextmanager
async def managed(
    scene: Scene, period_s: float, *flags: str, **environment: str
) -> AsyncIterator[tuple[Subject, list[float]]]:
    """Run a daemon under a service manager that notes its pings."""
    path = scene.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        variables = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(period_s * 1e6)), **environment}
        async with scene.start(*flags, environment=variables) as subject, asyncio.TaskGroup() as group:
            pings: list[float] = []

            async def listen() -> None:
                while True:
                    told = await asyncio.get_running_loop().sock_recv(manager, 4096)
                    if b"WATCHDOG=1" in told:
                        pings.append(monotonic())

            task = group.create_task(listen())
            yield subject, pings
            task.cancel()


async def missed(scene: Scene, disturb: Callable[[Subject], None], period_s: float = 2.0, **environment: str) -> None:
    """Disturb a daemon and see that its manager misses its pings, as it then ends it."""
    async with managed(scene, period_s, **environment) as (subject, pings):
        scene.subject = subject
        await until(lambda: len(pings) >= 3)
        disturb(subject)
        began = monotonic()
        await asyncio.sleep(0.2)
        before = len(pings)
        while monotonic() - (pings[-1] if pings else began) < period_s:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)
        after = monotonic() - began
        scene.expect(len(pings) == before, f"{len(pings) - before} pings meanwhile")
        subject.signal(signal.SIGABRT)
        await asyncio.sleep(0.1)
        subject.signal(signal.SIGKILL)  # as systemd does when SIGABRT brings nothing
        await subject.process.wait()
        scene.saw(f"no ping any more; the manager's patience of {period_s:g} s is over after {after:.1f} s")
    speaker = Speaker(1, [5])
    async with started(scene.folder) as again:
        await speaker.run(again.port)
    scene.expect(speaker.verdict == Verdict(), f"the next daemon: {speaker.verdict}")


async def stopped_daemon(scene: Scene) -> None:
    await missed(scene, lambda subject: subject.signal(signal.SIGSTOP))


async def held_loop(scene: Scene) -> None:
    await missed(scene, lambda subject: subject.signal(signal.SIGUSR2), FAULTS_HOLD_S="30")


async def stuck_journal(scene: Scene) -> None:
    """A disk that hangs: captions go on, without the promise, and everybody is told."""
    stuck = scene.folder / "stuck"
    speaker = Resumer(FIRST_KEY, [6] * 8, speed=1)
    async with scene.start(
        "--journal.path", str(scene.folder / "journal.sqlite"), environment={"FAULTS_STUCK": str(stuck)}
    ) as scene.subject:
        task = asyncio.create_task(speaker.run(f"127.0.0.1:{scene.port}"))
        await until(lambda: len(speaker.of("commit")) >= 3)
        stuck.touch()
        began = monotonic()
        await until(lambda: any(commit["durable"] is False for commit in speaker.of("commit")))
        took = monotonic() - began
        _, ready = await get(scene.port, "/readyz")
        await asyncio.sleep(1)
        stuck.unlink()
        await task
    scene.expect(speaker.complete, f"{speaker.verdict} {speaker.failure}")
    scene.expect('"failing"' in ready, f"/readyz says {ready}")
    durable = [commit["durable"] for commit in speaker.of("commit")]
    scene.expect(durable[-1], "not durable again")
    scene.saw(
        f"`durable: false` after {took:.1f} s on {durable.count(False)} of {len(durable)} commits, then true again; /readyz: journal failing; no word lost"
    )


async def memory_group(scene: Scene) -> None:
    """Let the kernel's out-of-memory killer take the recognizer's process."""
    group = Path(f"/sys/fs/cgroup/memory/faults-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
        (group / "cgroup.procs").write_text(str(scene.subject.worker.pid))
        greedy = Speaker(BAD_KEY, [4], speed=2)
        await greedy.run(scene.port)
        scene.expect(greedy.verdict == Verdict() and greedy.close_code == 1000, f"the greedy stream: {greedy.verdict}")
        kills = (group / "memory.oom_control").read_text().split()[-1]
        scene.expect(int(kills) >= 1, "the kernel killed nothing")
        scene.saw(
            f"oom_kill {kills}, {await restarts(scene):.0f} restart; the stream that took the memory is served by the next process"
        )
    finally:
        with suppress(OSError):
            group.rmdir()


async def address_space(scene: Scene) -> None:
    worker = scene.subject.worker
    room = worker.memory_info().vms
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (room, room))
    await asyncio.sleep(3)
    await recognising(scene)
    scene.saw(f"no more address space for the recognizer: {await restarts(scene):.0f} restarts")


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; one that nobody has buried does not."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def orphans(scene: Scene) -> None:
    slowest = 0.0
    for _ in range(5 * scene.count):
        async with started(scene.folder, faults=["slow:0.2@every"]) as subject:
            speaking = asyncio.create_task(Speaker(1, [30], speed=4).run(subject.port))
            await asyncio.sleep(scene.rng.uniform(0.3, 1))
            worker = subject.worker
            began = monotonic()
            subject.process.kill()
            while alive(worker) and monotonic() - began < 5:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.01)
            slowest = max(slowest, monotonic() - began)
            with suppress(Exception):
                await speaking
    scene.expect(slowest < 2, f"{slowest:.2f} s")
    scene.saw(f"the child was gone within {slowest:.2f} s each time")


WARNED = {"warned": True, "timely": False, "errors": 10_000}
CASES = (
    Case("C1", "`kill -9` of the recognizer's process, ten times at random (`--count`; 1,000 in benchmarks/results/kills.md)", "replaced; clients are warned; nothing lost", kills, **WARNED),
    Case("C2", "SIGSEGV, SIGABRT, SIGBUS, SIGILL, exit(0)", "the same", crashes, faults=("exit@200*",), **WARNED),
    Case("C3", "the process stopped (SIGSTOP)", "killed after 5 s without a sign of life, replaced", stopped_worker, **WARNED),
    Case("C4", "a call that holds Python's lock for a minute", "the same", until_restarted, faults=("spin:60@200",), **WARNED),
    Case("C5", "an exception whenever one stream is decoded", "gaps for it alone", failing_stream, faults=(f"raise@key={BAD_KEY}",), **WARNED),
    Case("C6", "out of memory for batches above four windows; for one window", "halved; no restart", out_of_memory, faults=("oom@rows=4",), **WARNED),
    Case("C7", "a device-side assertion", "it ends by itself, replaced", until_restarted, faults=("cuda@200",), **WARNED),
    Case("C8", "a process that crashes at each start; bad settings; no model", "growing pauses, /readyz 503; exit 78, 69", crash_loop, alone=True),
    Case("C9", "`kill -9` of the daemon, 12 times (`--count`)", "clients resume with the next one; nothing lost", daemon_kills, alone=True, limit_s=240),
    Case("C10", "SIGTERM with 100 clients speaking; a second SIGTERM", "last words, `done`, 1012, exit 0; at once", sigterm, alone=True),
    Case("C11", "SIGTERM with 10 % of the clients dead", "bounded by the send timeout", sigterm_with_dead, alone=True),
    Case("C12", "the daemon stopped (SIGSTOP)", "the watchdog is not pinged; the next daemon serves", stopped_daemon, alone=True),
    Case("C13", "the event loop held up for 30 s", "the same", held_loop, alone=True),
    Case("C14", "the journal's thread hangs", "captions go on with `durable: false`, /readyz says so", stuck_journal, alone=True, less="the daemon is not restarted for it: captions matter more"),
    Case("C15", "the kernel kills the recognizer's process for its memory (cgroup)", "the daemon lives, it is replaced", memory_group, faults=(f"hoard:256@key={BAD_KEY}",), **WARNED),
    Case("C16", "no more address space for the recognizer", "MemoryError handled, or replaced", address_space, **WARNED),
    Case("C17", "`kill -9` of the daemon, five times", "its child ends within 2 s", orphans, alone=True),
    Case("C18", "SIGTERM and a new daemon, four times, clients speaking; a journal of a later version", "clients go on; refused", both(upgrade_daemon, proved("tests/streamer/journal/test_journal.py::test_a_journal_of_a_later_version_is_refused_and_left_as_it_is")), alone=True, limit_s=240),
)  # fmt: skip
