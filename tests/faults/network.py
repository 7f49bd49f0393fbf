"""D: links that are cut, slow, lossy or lie, and clients that come back."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

from tests.clients.proxy import Proxy, proxied
from tests.faults.daemon import started
from tests.faults.elsewhere import both, proved
from tests.faults.resumer import Resumer
from tests.faults.scene import FIRST_KEY, Case, Scene, lengths, until
from tests.faulty.verdict import Verdict

RESUME = "tests/streamer/connection/test_resume.py"
CLIENT = "tests/clients/test_resuming.py"
THERE = "10.231.{}.2"
HERE = "10.231.{}.1"


@asynccontextmanager
async def speaking(scene: Scene, words: int = 6, utterances: int = 0) -> AsyncIterator[tuple[Proxy, Resumer]]:
    """Let a client speak through a proxy to a daemon; it ends after so many utterances, or when the block does."""
    over = asyncio.Event()
    fixed = [words] * utterances
    async with scene.start() as scene.subject, proxied(scene.port) as proxy, asyncio.TaskGroup() as group:
        client = Resumer(FIRST_KEY, fixed or lengths(scene.rng.randrange(2**30), over, 1))
        task = group.create_task(client.run(f"127.0.0.1:{proxy.listening}"))
        await until(lambda: client.of("commit"))
        yield proxy, client
        over.set()
        await task


def check(scene: Scene, client: Resumer, what: str, gaps: int = 0) -> None:
    """Compare what a client was told with what it said."""
    verdict = client.verdict
    scene.expect(verdict.sound and client.of("done") and not client.failure, f"{verdict} {client.failure}")
    scene.expect(verdict.gaps == gaps, f"{verdict.gaps} gaps")
    lost = len([notice for notice in client.notices if "lost" in notice])
    scene.saw(
        f"{what}: {len(client.said)} words, {verdict.lost} lost, {verdict.doubled} doubled, {verdict.changed} changed, "
        f"{verdict.gaps} gaps; {lost} times the client said that the connection was lost"
    )


async def cut(scene: Scene, seconds: float) -> tuple[Resumer, float]:
    """Let nothing through for a while; return the client and how long after it captions came again."""
    async with speaking(scene) as (proxy, client):
        await asyncio.sleep(1)
        proxy.hold()
        await asyncio.sleep(seconds)
        seen, began = len(client.of("commit")), monotonic()
        proxy.release()
        proxy.reset() if seconds > 12 else None
        await until(lambda: len(client.of("commit")) > seen)
        took = monotonic() - began
        await asyncio.sleep(2)
    return client, took


async def short_cut(scene: Scene) -> None:
    client, took = await cut(scene, 3)
    scene.expect(not client.notices, f"the client noticed: {client.notices}")
    check(scene, client, f"captions {took:.2f} s after the link was back")


async def longer_cut(scene: Scene) -> None:
    client, took = await cut(scene, 20)
    scene.expect(client.notices, "the client did not notice")
    check(scene, client, f"captions {took:.2f} s after the link was back")


async def longest_cut(scene: Scene) -> None:
    client, took = await cut(scene, 90)
    gaps = [(gap["start"], gap["end"]) for gap in client.of("gap")]
    scene.expect(len(gaps) == 1, f"{len(gaps)} gaps")
    check(
        scene,
        client,
        f"captions {took:.2f} s after the link was back, one gap of {gaps[0][1] - gaps[0][0]:.1f} s" if gaps else "",
        gaps=1,
    )


@asynccontextmanager
async def another_network(scene: Scene) -> AsyncIterator[tuple[str, Callable[..., Awaitable[None]]]]:
    """Make a network for the daemon; yield its address and what runs a command in it, with the link's name for LINK."""
    number = os.getpid() % 250
    name, link = f"faults{number}", f"veth{number}"

    async def run(*command: str, inside: bool = True) -> None:
        words = [word.replace("LINK", f"{link}b" if inside else f"{link}a") for word in command]
        whole = ["ip", "netns", "exec", name, *words] if inside else words
        process = await asyncio.create_subprocess_exec(*whole, stderr=asyncio.subprocess.PIPE)
        _, told = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(whole)}: {told.decode().strip()}")

    if shutil.which("ip") is None:
        raise RuntimeError("ip is missing (Debian and Ubuntu: apt install iproute2 nftables)")
    await run("ip", "netns", "add", name, inside=False)
    try:
        await run(
            "ip", "link", "add", f"{link}a", "type", "veth", "peer", "name", f"{link}b", "netns", name, inside=False
        )
        try:
            await run("ip", "addr", "add", f"{HERE.format(number)}/24", "dev", "LINK", inside=False)
            await run("ip", "link", "set", "LINK", "up", inside=False)
            await run("ip", "addr", "add", f"{THERE.format(number)}/24", "dev", "LINK")
            await run("ip", "link", "set", "LINK", "up")
            await run("ip", "link", "set", "lo", "up")
            host = THERE.format(number)
            flags = ("--server.host", host, "--server.insecure")
            async with started(scene.folder, *flags, prefix=("ip", "netns", "exec", name)) as scene.subject:
                yield f"{host}:{scene.subject.port}", run
        finally:
            # With the network alone it would go whenever the kernel comes round to it.
            await run("ip", "link", "del", "LINK", inside=False)
    finally:
        await run("ip", "netns", "del", name, inside=False)


async def over_a_link(
    scene: Scene, spoil: tuple[str, ...], utterances: int, seconds: float, mend: tuple[str, ...] = ()
) -> Resumer:
    """Speak to a daemon in another network, over a link that is spoiled for a while."""
    async with another_network(scene) as (address, run), asyncio.TaskGroup() as group:
        client = Resumer(FIRST_KEY, [8] * utterances)
        task = group.create_task(client.run(address))
        await until(lambda: client.of("commit"))
        for command in spoil:
            await run(*command.split())
        await asyncio.sleep(seconds)
        for command in mend:
            await run(*command.split())
        await task
    return client


async def link_down(scene: Scene) -> None:
    client = await over_a_link(scene, ("ip link set LINK down",), 8, 3, ("ip link set LINK up",))
    check(scene, client, "a network interface down for 3 s")


async def packet_loss(scene: Scene) -> None:
    rules = (
        "nft add table inet faults",
        "nft add chain inet faults in { type filter hook input priority 0 ; }",
        "nft add chain inet faults out { type filter hook output priority 0 ; }",
        "nft add rule inet faults in numgen random mod 100 < 20 drop",
        "nft add rule inet faults out numgen random mod 100 < 20 drop",
    )
    client = await over_a_link(scene, rules, 20, 0)
    lags = sorted(message["lag"] for message in client.messages if message.get("lag") is not None)
    check(scene, client, f"20 % of the packets lost each way for 30 s; lag p50 {lags[len(lags) // 2]:.2f} s")


async def narrow_uplink(scene: Scene) -> None:
    async with another_network(scene) as (address, run), asyncio.TaskGroup() as group:
        await run(
            "tc",
            "qdisc",
            "add",
            "dev",
            "LINK",
            "root",
            "tbf",
            "rate",
            "64kbit",
            "burst",
            "4kb",
            "latency",
            "400ms",
            inside=False,
        )
        client = Resumer(FIRST_KEY, [8] * 8)
        began = monotonic()
        await group.create_task(client.run(address))
        took = monotonic() - began
    check(scene, client, f"{len(client.said) * 0.1 + 6:.0f} s of speech over 64 kbit/s took {took:.0f} s")


async def resets(scene: Scene) -> None:
    count = 30 * scene.count
    async with speaking(scene) as (proxy, client):
        for _ in range(count):
            passed = proxy.passed
            proxy.cut_at = passed + scene.rng.randint(1, 12_000)
            await until(lambda: proxy.cut_at is None)
        await asyncio.sleep(1)
    check(scene, client, f"{count} resets at random bytes")


async def half_closed(scene: Scene) -> None:
    async with speaking(scene) as (proxy, client):
        for _ in range(3):
            seen = len(client.of("commit"))
            proxy.half_close()
            await until(lambda seen=seen: len(client.of("commit")) > seen + 1)
    check(scene, client, "three times the end of one direction, without a close frame")


async def flipped(scene: Scene) -> None:
    from tests.faults.bad_messages import START, STOP, speech

    for _ in range(20):
        audio = bytearray(speech(12))
        for _ in range(scene.rng.randint(1, 200)):
            audio[scene.rng.randrange(len(audio))] ^= 1 << scene.rng.randrange(8)
        heard = await scene.say(START, bytes(audio), STOP)
        scene.expect(heard.code == 1000, f"closed with {heard.code}")
    scene.saw("20 streams with up to 200 flipped bits of audio: served to their ends as noise; TLS would have told")


async def silent_drops(scene: Scene) -> None:
    """A silent stream whose link is dropped again and again, and then a word."""
    count = 30 * scene.count
    over = asyncio.Event()

    def words() -> object:
        yield 3
        while not over.is_set():
            yield 0
        yield 5

    async with scene.start() as scene.subject, proxied(scene.port) as proxy, asyncio.TaskGroup() as group:
        client = Resumer(FIRST_KEY, words())
        task = group.create_task(client.run(f"127.0.0.1:{proxy.listening}"))
        await until(lambda: client.of("commit"))
        for _ in range(count):
            connections = proxy.connections
            proxy.reset()
            await until(lambda connections=connections: proxy.connections > connections)
            await asyncio.sleep(0.5)
        over.set()
        await task
    scene.expect(client.verdict == Verdict(), f"{client.verdict}")
    check(scene, client, f"{count} drops of a silent stream, half a second apart")


CASES = (
    Case("D1", "a link down for 3 s (held in a proxy; `ip link set down`)", "nothing lost, no reconnection", both(short_cut, link_down), alone=True),
    Case("D2", "a cut of 20 s", "found by pings, resumed, nothing lost", longer_cut, alone=True),
    Case("D3", "a cut of 90 s", "exactly one gap, with its true range", longest_cut, alone=True, limit_s=200),
    Case("D4", "20 % packet loss each way (nftables)", "nothing lost", packet_loss, alone=True, limit_s=240),
    Case("D5", "an uplink of 64 kbit/s for speech of 256", "late, complete", narrow_uplink, alone=True, limit_s=200, less="no warning of its own that the link is too slow; the lag says it"),
    Case("D6", "RST at 30 random bytes (`--count`)", "resumed each time, nothing lost", resets, alone=True, limit_s=200),
    Case("D7", "one direction closed without a close frame", "resumed, nothing lost", half_closed, alone=True),
    Case("D8", "a session resumed twice at once", "the newer has it, the older is told 4409", proved(f"{RESUME}::test_the_newer_of_two_connections_has_the_session_and_the_older_is_told", f"{CLIENT}::test_whoever_is_taken_over_does_not_come_back"), alone=True),
    Case("D9", "resuming with a wrong token, epoch, session", "`resume_unknown`, 4404; nothing is learnt", proved(f"{RESUME}::test_whoever_does_not_know_the_token_learns_nothing", f"{RESUME}::test_a_session_of_another_journal_is_unknown"), alone=True, less="attempts are not slowed down; the token has 128 bits"),
    Case("D10", "resuming with audio older or newer than what is there", "the server says where; one gap for what is lost", proved(f"{RESUME}::test_audio_that_the_client_has_not_kept_is_one_gap_with_its_true_range", f"{RESUME}::test_a_session_cannot_be_resumed_with_other_audio", f"{RESUME}::test_the_same_words_at_the_same_times_with_cuts_and_without"), alone=True),
    Case("D11", "bits of audio flipped on the way", "noise; nobody else notices", flipped),
    Case("D12", "a silent stream dropped 30 times (`--count`)", "never given up; its next words are heard", silent_drops, alone=True),
)  # fmt: skip
