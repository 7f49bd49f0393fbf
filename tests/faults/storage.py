"""E: disks that fill, stall or lie, and clocks that jump."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

from streamer.commands.outcome import Exit
from tests.clients.proxy import proxied
from tests.faults.daemon import StartError, started
from tests.faults.elsewhere import both, proved
from tests.faults.raw import answer, get, request
from tests.faults.resumer import Resumer
from tests.faults.scene import FIRST_KEY, Case, Scene, lengths, until
from tests.faulty.speaker import Speaker
from tests.faulty.verdict import Verdict

JOURNAL = "tests/streamer/journal/test_journal.py"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@asynccontextmanager
async def small_disk(folder: Path, size: str) -> AsyncIterator[Path]:
    """Mount a file system of this size."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", str(place)], check=True)  # noqa: ASYNC221
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)  # noqa: ASYNC221


async def full_disk(scene: Scene) -> None:
    over = asyncio.Event()
    client = Resumer(FIRST_KEY, lengths(1, over, 1))
    async with (
        small_disk(scene.folder, "2m") as disk,
        scene.start("--journal.path", str(disk / "journal.sqlite")) as scene.subject,
    ):
        task = asyncio.create_task(client.run(f"127.0.0.1:{scene.port}"))
        await until(lambda: len(client.of("commit")) >= 3)
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        await until(lambda: any(commit["durable"] is False for commit in client.of("commit")))
        _, told = await get(scene.port, "/readyz")
        filler.unlink()
        began = monotonic()
        seen = len(client.of("commit"))
        await until(lambda: any(commit["durable"] for commit in client.of("commit")[seen:]))
        took = monotonic() - began
        over.set()
        await task
    durable = [commit["durable"] for commit in client.of("commit")]
    scene.expect(client.complete, f"{client.verdict} {client.failure}")
    scene.expect('"failing"' in told, f"/readyz said {told}")
    scene.saw(
        f"{durable.count(False)} of {len(durable)} commits `durable: false`, /readyz: journal failing; durable again {took:.1f} s after there was room; no word lost"
    )


async def second_daemon(scene: Scene) -> None:
    journal = ("--journal.path", str(scene.folder / "journal.sqlite"))
    async with scene.start(*journal) as scene.subject:
        try:
            async with started(scene.folder, *journal):
                scene.expect(False, "a second daemon starts on the same journal")
        except StartError as error:
            scene.expect(error.status == Exit.CONFIGURATION, f"it ends with {error.status}")
    scene.saw("a second daemon on the same journal ends with 78")


async def corrupt(scene: Scene) -> None:
    """Damage a journal between two daemons while a client means to come back."""
    from tests.faults.processes import free_port

    port, journal = free_port(), scene.folder / "journal.sqlite"
    flags = ("--server.port", str(port), "--journal.path", str(journal))
    for attempt in range(3):
        over = asyncio.Event()
        client = Resumer(FIRST_KEY, lengths(attempt, over, 1))
        async with scene.start(*flags) as scene.subject:
            task = asyncio.create_task(client.run(f"127.0.0.1:{port}"))
            await until(lambda client=client: len(client.of("commit")) >= 3)
            scene.subject.process.kill()
            await scene.subject.process.wait()
        damage = scene.rng.randbytes(4096) * 4
        with journal.open("r+b") as file:
            file.seek(0 if attempt == 0 else 4096)
            file.write(damage)
        if attempt == 2:
            (journal.with_name(journal.name + "-wal")).write_bytes(scene.rng.randbytes(10_000))
        async with scene.start(*flags) as scene.subject:
            await until(lambda client=client: client.notices)
            seen = len(client.of("commit"))
            await until(lambda client=client, seen=seen: len(client.of("commit")) > seen + 1)
            over.set()
            await task
        aside = len(list(scene.folder.glob("*corrupt*")))
        verdict = client.verdict
        scene.expect(client.of("done"), f"no end: {client.failure}")
        ids = [commit["id"] for commit in client.of("commit")]
        scene.expect(ids == list(range(1, len(ids) + 1)), "commits are not counted on")
        if not aside:  # what was damaged is in the log of the journal still, and comes back from there
            scene.expect(verdict == Verdict(), f"damage {attempt + 1}: {verdict}")
            scene.saw(
                f"damage {attempt + 1}: mended from the journal's log, the client resumed, {verdict.lost} words lost"
            )
        else:  # in a new session frames lie elsewhere, and the recognizer that reads them cannot tell them apart
            told = next((notice for notice in client.notices if "new session" in notice or "anew" in notice), "")
            scene.saw(
                f"damage {attempt + 1}: the journal moved aside, and the client on in a new session ({told or client.notices[-1]})"
            )


async def slow_disk(scene: Scene) -> None:
    clients = [Resumer(FIRST_KEY + n, [6] * 5) for n in range(8)]
    flags = ("--journal.path", str(scene.folder / "journal.sqlite"))
    async with scene.start(*flags, environment={"FAULTS_SYNC_S": "0.5"}) as scene.subject:
        answers = []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.run(f"127.0.0.1:{scene.port}")) for client in clients]
            while not all(task.done() for task in tasks):
                asked = monotonic()
                await get(scene.port, "/healthz")
                answers.append(monotonic() - asked)
                await asyncio.sleep(0.1)
        writes = await scene.subject.metric("streamer_journal_seconds_count")
    right = sum(client.complete for client in clients)
    commits = sum(len(client.of("commit")) for client in clients)
    durable = sum(bool(commit["durable"]) for client in clients for commit in client.of("commit"))
    answers.sort()
    scene.expect(right == len(clients), f"{right} of {len(clients)} complete")
    scene.expect(answers[len(answers) // 2] < 0.1, f"/healthz took {answers[len(answers) // 2]:.2f} s at p50")
    scene.saw(
        f"{right} of {len(clients)} clients complete, {durable} of {commits} commits durable, in {writes:.0f} transactions of 0.5 s; /healthz answered within {answers[len(answers) // 2] * 1000:.0f} ms (p50), {answers[-1] * 1000:.0f} ms at most"
    )


def faked(folder: Path, *, monotonic_too: bool) -> tuple[dict[str, str], Path]:
    """Return the variables of a daemon whose clock a file moves, and the file."""
    if not FAKETIME.exists():
        raise RuntimeError(f"{FAKETIME} is missing (Debian and Ubuntu: apt install libfaketime)")
    rc = folder / "faketime"
    rc.write_text("+0")
    variables = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(rc), "FAKETIME_CACHE_DURATION": "1"}
    if not monotonic_too:
        variables |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return variables, rc


async def wall_clock(scene: Scene) -> None:
    environment, rc = faked(scene.folder, monotonic_too=False)
    over = asyncio.Event()
    clients = [Resumer(FIRST_KEY + n, lengths(n, over, 1)) for n in range(4)]
    flags = ("--journal.path", str(scene.folder / "journal.sqlite"))
    dates = []
    async with (
        scene.start(*flags, environment=environment) as scene.subject,
        proxied(scene.port) as proxy,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(client.run(f"127.0.0.1:{proxy.listening}")) for client in clients]
        await until(lambda: all(client.of("commit") for client in clients))
        for jump in ("-3600", "+86400", "+378432000", "+0"):  # the last but one is beyond January 2038
            rc.write_text(jump)
            await asyncio.sleep(2.5)
            head = (await answer(scene.port, request("/healthz"))).decode().lower()
            dates.append(head.partition("date: ")[2].partition("\r\n")[0])
            proxy.reset()
            await asyncio.sleep(1)
        over.set()
        await asyncio.wait(tasks)
    for client in clients:
        scene.expect(client.complete, f"{client.key}: {client.verdict} {client.failure} {client.notices}")
    words = sum(len(client.said) for client in clients)
    scene.saw(
        f"the daemon's dates: {', '.join(dates)}; after each jump all connections were reset; {len(clients)} clients resumed and had their {words} words once"
    )


async def slept(scene: Scene) -> None:
    """All clocks jump by an hour, as after a suspension."""
    environment, rc = faked(scene.folder, monotonic_too=True)
    async with scene.start(environment=environment) as scene.subject:
        early = Speaker(FIRST_KEY, lengths(1, asyncio.Event()), speed=1)
        task = asyncio.create_task(early.run(scene.port))
        await until(lambda: len(early.of("commit")) >= 3)
        rc.write_text("+3600")
        await asyncio.wait([task], timeout=20)
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        late = Speaker(FIRST_KEY + 1, [6, 6])
        while (await get(scene.port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)
        await late.run(scene.port)
    verdict = early.verdict
    scene.expect(
        not verdict.doubled and not verdict.changed and not verdict.foreign and not verdict.swapped,
        f"the running stream: {verdict}",
    )
    scene.expect(late.verdict == Verdict() and late.close_code == 1000, f"a new stream: {late.verdict}")
    errors = [error["code"] for error in early.of("error")]
    scene.saw(
        f"the running stream {f'was closed with {early.close_code} {errors}' if ended else 'went on'}; a new one is served"
    )


async def closed_log(scene: Scene) -> None:
    program = 'exec 2> >(head -n 1 > /dev/null); exec "$@"'
    async with scene.start(prefix=("bash", "-c", program, "bash")) as scene.subject:
        await asyncio.sleep(0.5)
        speakers = [Speaker(FIRST_KEY + n, [6, 6], speed=4) for n in range(4)]
        async with asyncio.TaskGroup() as group:
            for speaker in speakers:
                group.create_task(speaker.run(scene.port))
        right = sum(speaker.verdict == Verdict() and speaker.close_code == 1000 for speaker in speakers)
        scene.subject.process.terminate()
        status = await scene.subject.process.wait()
    scene.expect(right == len(speakers), f"{right} of {len(speakers)} served")
    scene.expect(status == 0, f"exit status {status}")
    scene.saw(f"{right} of {len(speakers)} clients served with nobody to read the log; exit {status}")


async def full_log_disk(scene: Scene) -> None:
    async with small_disk(scene.folder, "64k") as disk:
        program = f'exec 2>> "{disk}/log"; exec "$@"'
        async with scene.start("--log.level", "DEBUG", prefix=("bash", "-c", program, "bash")) as scene.subject:
            with suppress(OSError):
                (disk / "filler").write_bytes(bytes(2**20))
            speaker = Speaker(FIRST_KEY, [6, 6], speed=4)
            await speaker.run(scene.port)
            scene.expect(speaker.verdict == Verdict() and speaker.close_code == 1000, f"{speaker.verdict}")
    scene.saw("served with a full disk under the log")


PROVED = (
    f"{JOURNAL}::test_a_disk_that_refuses_costs_durability_and_nothing_else",
    f"{JOURNAL}::test_a_file_that_was_removed_is_begun_anew",
    f"{JOURNAL}::test_another_process_that_holds_the_file_does_not_delay_captions_for_ever",
)
RETENTION = (
    f"{JOURNAL}::test_a_journal_beyond_its_size_loses_the_oldest_sessions_first",
    f"{JOURNAL}::test_sessions_that_nobody_came_back_to_are_deleted_in_time",
)

CASES = (
    Case("E1", "the journal's disk full (tmpfs), then not", "`durable: false`, /readyz says so; durable again by itself", full_disk, alone=True),
    Case("E2", "a journal that refuses, is removed, held by another; a second daemon", "the same; the second ends with 78", both(second_daemon, proved(*PROVED)), alone=True),
    Case("E3", "a journal overwritten with random bytes between two daemons, three ways", "moved aside, a new one; the client goes on; never a crash loop", corrupt, alone=True),
    Case("E4", "each write of the journal takes half a second longer", "many commits in one transaction; the event loop is not held up", slow_disk, alone=True),
    Case("E5", "the wall clock an hour back, a day on, beyond 2038", "nobody notices", wall_clock, alone=True),
    Case("E6", "all clocks jump by an hour (as after a suspension)", "no crash; streams go on or end cleanly; new ones are served", slept, alone=True),
    Case("E7", "a journal beyond its size; retention", "the oldest sessions go, the file is bounded", proved(*RETENTION), alone=True, less="not tried with 10 million rows"),
    Case("E8", "nobody reads the log; its disk is full", "served", both(closed_log, full_log_disk), alone=True),
)  # fmt: skip
