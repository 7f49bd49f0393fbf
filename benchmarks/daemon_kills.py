"""Kill a daemon again and again while streams run through it, and check what their clients were shown.

    python -m benchmarks.daemon_kills --kills 200 --streams 4

The daemon is the real one with a journal on the disk (synchronous=FULL) and a recognizer whose words are known: each
stretch of audio carries its own number. It is ended with SIGKILL at random moments and started again at the same port.
The clients are `clients.resuming`, and speak as fast as they may. Checked, for every stream: commit ids are 1, 2, 3 …;
every word was committed once, in order, and no other; no gap; and the journal's text is what the client was shown.

What is spoken is a language of loudness (`tests/fakes.py`), so this runs from the source tree.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from clients.resuming import connect_resuming
from clients.resuming_stream import ResumingStream
from model.types import SAMPLE_RATE, Samples
from streamer.protocols import messages
from tests.fakes import LEVELS, silence, speak

WORDS = 5
"""In a sentence."""


@dataclass
class Speaker:
    """One stream: what it says, and what it was shown."""

    offset: int
    """Tells its words from another's: every stream begins at another one."""
    said: list[str] = field(default_factory=list)
    commits: list[messages.Commit] = field(default_factory=list)
    gaps: int = 0
    notices: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    def sentence(self, number: int) -> Samples:
        """Return the next sentence, and note its words."""
        words = [(self.offset + number * WORDS + word) % LEVELS for word in range(WORDS)]
        self.said += [f"w{word}" for word in words]
        return np.concatenate([speak(words), silence(SAMPLE_RATE * 6 // 10)])

    async def speak(self, stream: ResumingStream, over: asyncio.Event) -> None:
        """Speak until it is over."""
        for number in itertools.count():
            if over.is_set():
                break
            audio = self.sentence(number)
            for at in range(0, len(audio), 1600):
                await stream.send_audio(audio[at : at + 1600])
            await asyncio.sleep(0.05)
        await stream.stop()

    async def run(self, port: int, over: asyncio.Event) -> None:
        """Stream, and take what is shown."""

        def notice(said: str) -> None:
            self.notices += 1
            if said == "connected again":
                self.connected.set()
            else:
                self.connected.clear()

        async with (
            connect_resuming(f"ws://127.0.0.1:{port}", notice=notice) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            self.connected.set()
            tasks.create_task(self.speak(stream, over))
            async for message in stream:
                if isinstance(message, messages.Commit):
                    self.commits.append(message)
                self.gaps += isinstance(message, messages.Gap)

    def faults(self) -> list[str]:
        """Say what is wrong with what was shown."""
        found = []
        if [commit.id for commit in self.commits] != list(range(1, len(self.commits) + 1)):
            found.append("commit ids are not 1, 2, 3 …")
        shown = [word.text for commit in self.commits for word in commit.words or ()]
        if shown != self.said:
            at = next((at for at, pair in enumerate(zip(shown, self.said, strict=False)) if pair[0] != pair[1]), -1)
            found.append(f"{len(shown)} words shown, {len(self.said)} spoken, the first difference at {at}")
        if self.gaps:
            found.append(f"{self.gaps} gaps")
        return found


async def daemon(port: int, journal: Path) -> asyncio.subprocess.Process:
    """Start a daemon and wait until it serves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.daemon_kills", "--daemon", str(port), "--journal", str(journal),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise RuntimeError("the daemon did not start")
    return process


async def torment(kills: int, streams: int, longest_s: float, chance: random.Random) -> int:
    """Run the streams, kill the daemon, check; return how many faults there were."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    speakers = [Speaker(offset=number * 7) for number in range(streams)]
    over = asyncio.Event()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite"
        process = await daemon(port, journal)
        async with asyncio.TaskGroup() as tasks:
            for speaker in speakers:
                tasks.create_task(speaker.run(port, over))
            for _ in range(kills):
                for speaker in speakers:  # so that each kill meets streams that run
                    await speaker.connected.wait()
                await asyncio.sleep(chance.uniform(0, longest_s))
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                process = await daemon(port, journal)
            over.set()
        process.terminate()
        await process.wait()
        faults = [f"stream {n}: {fault}" for n, speaker in enumerate(speakers) for fault in speaker.faults()]
        faults += compared(journal, speakers)
    words = sum(len(speaker.said) for speaker in speakers)
    commits = sum(len(speaker.commits) for speaker in speakers)
    print(f"{kills} kills, {streams} streams, {time.monotonic() - begun:.0f} s, {words} words, {commits} commits,")
    returns = sum(speaker.notices for speaker in speakers) // 2
    print(f"{returns} times a connection was lost and made again: {len(faults)} faults")
    for fault in faults:
        print(f"  {fault}")
    return len(faults)


def compared(path: Path, speakers: list[Speaker]) -> list[str]:
    """Say where the journal's text is not what a client was shown."""
    database = sqlite3.connect(path)
    sessions: dict[str, list[str]] = {}
    for session, body in database.execute(
        "SELECT session, body FROM entries WHERE kind = 'commit' ORDER BY session, number"
    ):
        sessions.setdefault(session, []).append(msgspec.json.decode(body)["text"])
    database.close()
    written = sorted(sessions.values())
    shown = sorted([commit.text for commit in speaker.commits] for speaker in speakers)
    return [] if written == shown else ["the journal holds another text than was shown"]


def serve(port: int, journal: Path) -> None:
    """Be the daemon."""
    from streamer.config import Config, JournalConfig, ServerConfig  # noqa: PLC0415  # the other process needs none of it
    from streamer.server import Server  # noqa: PLC0415
    from streamer.signals import signals  # noqa: PLC0415
    from tests.fakes import LevelRecognizer, LevelVad  # noqa: PLC0415

    async def run() -> None:
        config = Config(server=ServerConfig(port=port), journal=JournalConfig(journal))
        server = Server(config, LevelRecognizer(), {}, lambda _: LevelVad())
        with signals(server.stop):
            await server.run(lambda _: print("ready", flush=True))

    asyncio.run(run())


def main() -> int:
    """Run it; exit code 1 if anything was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds between a start and the next kill, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--daemon", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.daemon:
        serve(options.daemon, options.journal)
        return 0
    return min(1, asyncio.run(torment(options.kills, options.streams, options.longest, random.Random(options.seed))))


if __name__ == "__main__":
    raise SystemExit(main())
