"""B: too many clients, too slow ones, and those that mean it."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from time import monotonic

from tests.faults.raw import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame, get, status_of, upgrade
from tests.faults.scene import FIRST_KEY, Case, Scene, p99_lag, until, watch
from tests.faulty.speaker import Speaker
from tests.faulty.verdict import Verdict

SEND_TIMEOUT_S = 3.0
REFUSED = {"busy", "overloaded"}
LARGE_FLUSH = json.dumps({"type": "flush", "id": "x" * 128}).encode()


def outcome_of(speaker: Speaker) -> str:
    """Say how a stream went."""
    errors = [error["code"] for error in speaker.of("error")]
    if errors:
        return errors[0] if errors[0] in REFUSED and speaker.close_code == 1013 else f"error {errors[0]}"
    return "right" if speaker.verdict == Verdict() and speaker.close_code == 1000 else f"wrong: {speaker.verdict}"


async def run_all(scene: Scene, speakers: list[Speaker]) -> Counter[str]:
    """Let all speak at once; count how they went."""
    async with asyncio.TaskGroup() as group:
        for speaker in speakers:
            group.create_task(speaker.run(scene.port))
    return Counter(outcome_of(speaker) for speaker in speakers)


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


async def many_streams(scene: Scene) -> None:
    speakers = [Speaker(n, [8, 5, 8], speed=1) for n in range(200)]
    counts = await run_all(scene, speakers)
    scene.expect(set(counts) <= {"right", *REFUSED}, told(counts))
    served = [speaker for speaker in speakers if outcome_of(speaker) == "right"]
    scene.saw(f"of 200: {told(counts)}; lag p99 {p99_lag(served) * 2:.2f} s")


class Timed(Speaker):
    """Notes how long it took to be told no."""

    asked = 0.0

    async def run(self, port: int) -> None:
        self.asked = monotonic()
        await super().run(port)

    @property
    def waited(self) -> float:
        return self.arrivals[0] - self.asked


def sentences(seed: int, over: asyncio.Event) -> Iterator[int]:
    """Yield words of utterances of 2.5 to 6 s, until it is over."""
    rng = Random(seed)
    while not over.is_set():
        yield rng.randint(25, 60)


async def twice_capacity(scene: Scene) -> None:
    """Let in as many as are let in, measure them alone, then again with as many at the door."""
    over = asyncio.Event()
    inside: list[Speaker] = []
    async with asyncio.TaskGroup() as group:
        while True:
            speaker = Timed(len(inside), sentences(len(inside), over), speed=1)
            task = group.create_task(speaker.run(scene.port))
            await until(lambda speaker=speaker: speaker.messages)
            if speaker.of("error"):
                await task
                break
            inside.append(speaker)
            await asyncio.sleep(0.3)
        await asyncio.sleep(8)
        seen = [len(speaker.messages) for speaker in inside]
        usual = lags_since(inside, [0] * len(inside))
        late: list[Timed] = []
        for n in range(2 * len(inside)):
            late.append(Timed(500 + n, sentences(n, over), speed=1))
            group.create_task(late[-1].run(scene.port))
            await asyncio.sleep(0.15)
        crowded = lags_since(inside, seen)
        over.set()
    refused = [speaker for speaker in late if speaker.of("error")]
    waits = sorted(speaker.waited for speaker in refused)
    counts = Counter(outcome_of(speaker) for speaker in [*inside, *late])
    scene.expect(set(counts) <= {"right", *REFUSED}, told(counts))
    scene.expect(len(refused) >= len(late) * 0.8, f"{len(refused)} of {len(late)} refused")
    scene.expect(
        crowded <= max(1.2 * usual, usual + 0.25), f"lag p99 {usual:.2f} s at capacity, {crowded:.2f} s at twice"
    )
    slowest = waits[int(len(waits) * 0.99)] if waits else 0.0
    scene.expect(slowest <= 0.1 + usual, f"a refusal took {slowest:.2f} s")
    middle = waits[len(waits) // 2] if waits else 0.0
    scene.saw(
        f"{len(inside)} let in, then {len(refused)} of {len(late)} more refused, after {middle * 1000:.0f} ms (p50), "
        f"{slowest * 1000:.0f} ms (p99); lag p99 of those inside {usual:.2f} s before, {crowded:.2f} s during; none dropped"
    )


def lags_since(speakers: list[Speaker], seen: list[int]) -> float:
    """Return the lag at p99 of what came after so many messages of each."""
    lags = sorted(
        m["lag"] for s, n in zip(speakers, seen, strict=True) for m in s.messages[n:] if m.get("lag") is not None
    )
    return lags[int(len(lags) * 0.99)] if lags else 0.0


async def come(port: int) -> str:
    """Open a stream; say how it went, and whether that took more than 5 s."""
    began = monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return "dropped"
    try:
        async with asyncio.timeout(15):
            writer.write(upgrade())
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(TEXT, b'{"type":"start"}'))
            said = await reader.read(4096)
        late = " late" if monotonic() - began > 5 else ""
        if status_of(head) != 101:
            return f"HTTP {status_of(head)}{late}"
        return (
            "let in" if b'"ready"' in said else "refused" if b"busy" in said or b"overloaded" in said else "?"
        ) + late
    except (ConnectionError, asyncio.IncompleteReadError):
        return "dropped"
    except TimeoutError:
        return "hung"
    finally:
        writer.transport.abort()


def come_all(port: int, count: int) -> tuple[Counter[str], float]:
    """Come with so many at once; return how they went and how long it took."""

    async def run() -> Counter[str]:
        return Counter(await asyncio.gather(*(come(port) for _ in range(count))))

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    began = monotonic()
    return asyncio.run(run()), monotonic() - began


async def storm(scene: Scene) -> None:
    count = 2000
    counts, seconds = await scene.apart(come_all, scene.port, count)
    scene.expect(not set(counts) - {"let in", "refused", "dropped"}, told(counts))
    scene.saw(f"{count} in {seconds:.1f} s: {told(counts)}")


def deaf(port: int) -> socket.socket:
    """Return a connected socket with next to no room for what comes."""
    receiver = socket.socket()
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    receiver.connect(("127.0.0.1", port))
    receiver.setblocking(False)
    return receiver


async def no_reader(scene: Scene, rate: float = 0.0) -> None:
    """Ask for answers without end, and take none of them, or `rate` bytes a second."""
    before = (await scene.subject.state()).memory_mib
    cut_before = await scene.subject.metric('streamer_errors_total{code="slow_client"}')
    reader, writer = await asyncio.open_connection(sock=deaf(scene.port), limit=4096)
    writer.write(upgrade())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(TEXT, b'{"type":"start"}'))
    flush = frame(TEXT, LARGE_FLUSH) * 50
    began, stalled = monotonic(), None
    most = 0.0
    try:
        async with asyncio.timeout(60):
            while not writer.transport.is_closing():
                if rate:
                    await reader.read(max(1, int(rate / 10)))
                writer.write(flush)
                try:
                    async with asyncio.timeout(0.1):
                        await writer.drain()
                except TimeoutError:
                    stalled = stalled or monotonic()
                most = max(most, scene.subject.seen.memory_info().rss / 2**20 - before)
                await asyncio.sleep(0)
    except (ConnectionError, TimeoutError) as error:
        scene.expect(isinstance(error, ConnectionError), "it was never cut off")
    finally:
        writer.transport.abort()
    took = monotonic() - (stalled or began)
    # Whose timer is first is chance: the daemon's, or the kernel's for what nobody acknowledges (TCP_USER_TIMEOUT).
    counted = await scene.subject.metric('streamer_errors_total{code="slow_client"}') > cut_before
    scene.expect(rate or took < SEND_TIMEOUT_S + 5, f"cut after {took:.1f} s")
    scene.expect(most < 8, f"{most:+.1f} MiB meanwhile")
    scene.saw(
        f"cut off by the {'daemon' if counted else 'kernel'} {took:.1f} s after it stopped taking (send timeout {SEND_TIMEOUT_S:g} s), "
        f"at most {most:+.1f} MiB"
    )


async def slow_reader(scene: Scene) -> None:
    await no_reader(scene, 100)


async def half_open(scene: Scene, count: int = 1000, *, others: bool = True) -> None:
    lines = len(scene.subject.log)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], min(limits[1], count + 500)), limits[1]))
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for _ in range(count):
        with suppress(ConnectionError):
            opened.append(await asyncio.open_connection("127.0.0.1", scene.port))
    for _, writer in opened[::2]:
        writer.write(b"GET / HT")
    dripping = opened[::10]
    served = []
    began = monotonic()
    gone = 0
    while monotonic() - began < 15 and gone < len(opened):
        asked = monotonic()
        with suppress(ConnectionError):
            status, _ = await get(scene.port, "/healthz")
            served.append((monotonic() - asked, status))
        for _, writer in dripping:
            if not writer.transport.is_closing():
                writer.write(b"x")
        await asyncio.sleep(0.5)
        gone = sum(reader.at_eof() or writer.transport.is_closing() for reader, writer in opened)
    took = monotonic() - began
    for _, writer in opened:
        writer.transport.abort()
    good = sorted(seconds for seconds, status in served if status == 200)
    scene.expect(gone == len(opened), f"{len(opened) - gone} of {len(opened)} still open after {took:.0f} s")
    scene.expect(good or not others, "nobody else was served")
    logged = len(scene.subject.log) - lines
    scene.expect(logged <= 100, f"{logged} lines in the log")
    scene.saw(f"{len(opened)} connections reaped within {took:.1f} s (open timeout 3 s), {logged} log lines")
    if good:
        scene.saw(
            f"another client was answered {len(good)} times meanwhile, after {good[len(good) // 2] * 1000:.0f} ms (p50), "
            f"{good[-1] * 1000:.0f} ms at most"
        )


async def few_descriptors(scene: Scene) -> None:
    await half_open(scene, 350, others=False)
    status, _ = await get(scene.port, "/healthz")
    scene.expect(status == 200, f"/healthz {status} afterwards")


def rush(port: int) -> tuple[Speaker, float]:
    """Speak for ten minutes as fast as it is taken; return also how many seconds it took."""
    speaker = Speaker(5, [40] * 125, speed=0)
    began = monotonic()
    asyncio.run(speaker.run(port))
    return speaker, monotonic() - began


async def faster_than_real_time(scene: Scene) -> None:
    before = (await scene.subject.state()).memory_mib
    most = 0.0
    task = asyncio.create_task(scene.apart(rush, scene.port))
    while not task.done():
        most = max(most, scene.subject.seen.memory_info().rss / 2**20 - before)
        await asyncio.sleep(0.05)
    speaker, seconds = task.result()
    audio = speaker.of("done")[0]["audio"] if speaker.of("done") else 0.0
    scene.expect(speaker.verdict == Verdict() and speaker.close_code == 1000, f"the flood: {speaker.verdict}")
    scene.expect(most < 24, f"{most:+.1f} MiB meanwhile")
    scene.saw(f"{audio:.0f} s of speech at {audio / seconds:.0f} times real time, all right, at most {most:+.1f} MiB")


async def open_and_close(scene: Scene) -> None:
    count, done = 3000 * scene.count, 0
    began = monotonic()

    async def coming_and_going(left: list[int]) -> None:
        nonlocal done
        while left:
            kind = left.pop() % 4
            try:
                one = await RawSocket.open(scene.port)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue
            if kind:
                one.write(frame(TEXT, b'{"type":"start"}'))
            if kind > 1:
                one.write(frame(BINARY, bytes(3200)))
            if kind > 2:
                one.write(frame(CLOSE, b"\x03\xe9"))
                await one.ending()
            one.abort()
            done += 1

    left = list(range(count))
    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(coming_and_going(left))
    seconds = monotonic() - began
    scene.expect(done > count * 0.9, f"{done} of {count} let in")
    scene.saw(f"{done} opened and left in {seconds:.0f} s ({done / seconds:.0f} a second)")


def flood(port: int, opcode: int) -> tuple[int, bool]:
    """Send control frames and read nothing meanwhile; return how many were taken, and whether it was told 1008."""
    sent = 0
    with deaf(port) as one:
        one.setblocking(True)  # its only argument
        one.settimeout(5)
        one.sendall(upgrade())
        while not one.recv(4096).endswith(b"\r\n\r\n"):
            pass
        one.sendall(frame(TEXT, b'{"type":"start"}'))
        many = frame(opcode, bytes(125)) * 1000
        with suppress(OSError):
            for _ in range(400):
                one.sendall(many)
                sent += 1000
        heard = b""
        with suppress(OSError):
            while data := one.recv(65_536):
                heard += data
    return sent, (1008).to_bytes(2) in heard


async def pings(scene: Scene) -> None:
    before = (await scene.subject.state()).memory_mib
    for name, opcode in (("ping", PING), ("pong", PONG)):
        flooding = asyncio.create_task(scene.apart(flood, scene.port, opcode))
        most = 0.0
        while not flooding.done():
            most = max(most, scene.subject.seen.memory_info().rss / 2**20 - before)
            await asyncio.sleep(0.02)
        sent, told = flooding.result()
        scene.expect(most < 8, f"{sent} {name}s: {most:+.1f} MiB")
        scene.expect(told, f"{sent} {name}s: not closed with 1008")
        scene.saw(f"{sent} {name}s from a client that does not read: at most {most:+.1f} MiB")
    for _ in range(100):
        one = await RawSocket.open(scene.port)
        one.write(frame(CLOSE, b"\x03\xe8"))
        one.abort()
    scene.saw("100 closed without waiting")


def watch_many(port: int, session: str, count: int) -> list[list[tuple[int, str]]]:
    """Return what so many viewers saw."""

    async def run() -> list[list[tuple[int, str]]]:
        return await asyncio.gather(*(watch(port, session) for _ in range(count)))

    return asyncio.run(run())


async def audience(scene: Scene) -> None:
    speaker = Speaker(7, [6] * 12, speed=2)
    async with asyncio.TaskGroup() as group:
        group.create_task(speaker.run(scene.port))
        await until(lambda: speaker.of("ready"))
        session = speaker.of("ready")[0]["session"]
        stalled = [deaf(scene.port) for _ in range(20)]
        for one in stalled:
            one.send(upgrade(f"/v1/watch/{session}"))
        viewers = group.create_task(scene.apart(watch_many, scene.port, session, 180))
    commits = [(m["id"], m["text"]) for m in speaker.of("commit")]
    right = sum(seen == commits for seen in viewers.result())
    for one in stalled:
        one.close()
    scene.expect(right == 180, f"{right} of 180 viewers saw every commit")
    scene.expect(speaker.verdict == Verdict(), f"the speaker: {speaker.verdict}")
    scene.saw(f"{right} of 180 viewers saw all {len(commits)} commits beside 20 that read nothing")


async def slowest_path(scene: Scene) -> None:
    bad = Speaker(FIRST_KEY - 2, [30] * 4, speed=2)
    await bad.run(scene.port)
    scene.expect(bad.verdict == Verdict(), f"the slow one: {bad.verdict}")


SLOW = ("--server.send-timeout-s", str(SEND_TIMEOUT_S))
MANY = ("--server.max-sessions", "300")

CASES = (
    Case("B1", "200 streams in real time", "each served to the word, or refused with `busy`/`overloaded`, 1013", many_streams, again=True,
         flags=MANY, lines=400, neighbours=0, memory_mib=48),
    Case("B2", "twice as many streams as the device (60 ms a window) takes", "lag of those inside at most 1.2 times; refused in 100 ms; none dropped",
         twice_capacity, flags=("--model.max-batch", "1", *MANY), faults=("slow:0.06@every",), neighbours=0, lines=600, memory_mib=48, limit_s=180),
    Case("B3", "2,000 connections at once", "each let in, refused or dropped within 5 s", storm, again=True, timely=False, lines=4000, memory_mib=48),
    Case("B4", "a client that asks and never reads", "cut off after the send timeout, memory bounded", no_reader, flags=SLOW),
    Case("B5", "a client that reads 100 bytes a second", "cut off, memory bounded", slow_reader, flags=SLOW),
    Case("B6", "1,000 half-open handshakes, 100 of them dripping a byte at a time", "reaped at the open timeout; others served",
         half_open, flags=("--server.open-timeout-s", "3", "--server.max-connections", "2000"), memory_mib=32),
    Case("B7", "350 half-open connections with 256 file descriptors", "dropped at the door, at most 100 log lines, then well again",
         few_descriptors, flags=("--server.open-timeout-s", "3"), prefix=("prlimit", "--nofile=256:256")),
    Case("B8", "ten minutes of speech as fast as it is taken", "held back by TCP; text right; memory bounded", faster_than_real_time, again=True,
         memory_mib=24, limit_s=240),
    Case("B9", "3,000 sessions opened and left (`--count` for more)", "nothing left over", open_and_close, again=True, timely=False, lines=6000, memory_mib=24, limit_s=240),
    Case("B10", "400,000 pings, as many pongs, never read; closing without waiting", "closed (1008), memory bounded", pings, lines=200),
    Case("B11", "200 viewers of one session, 20 of them stalled", "the others see every commit", audience, again=True, memory_mib=32),
    Case("B12", "a stream that takes the recognizer 50 ms more each time", "others' lag as usual", slowest_path,
         faults=(f"slow:0.05@key={FIRST_KEY - 2}",)),
)  # fmt: skip
