"""What it costs that uploads are decoded in processes of their own: the same files in a thread of this process.

    python -m benchmarks.uploads [--rounds 15]

Each file is decoded three ways in turn, measured and then read as blocks of 16 kHz: in a thread of this process, which
is how the daemon did it before; by a spare that has had time to start; and by a process that is started for it. Then a
recording of 5 s goes through a whole server with the demo model, whose decoders are threads, spares and new processes.

Writes uploads.md and uploads.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import soundfile
from prometheus_client import CollectorRegistry

from benchmarks import machine, speech
from model.types import SAMPLE_RATE
from streamer.config import Config, ModelConfig, ServerConfig
from streamer.decoding.decoder import Decoder, Limits
from streamer.decoding.decoders import Decoders
from streamer.decoding.recording import Recording
from streamer.recognition.loading import build_recognizer
from streamer.server import Server
from tests.streamer.decoding.threads import start_thread
from tests.streamer.http.uploads import upload

LIMITS = Limits(14_400.0, 120.0)
WAYS = ("thread", "spare", "new process")
RESTED_S = 0.3
"""A spare whose processor's time has not grown for so long is ready."""


@dataclass(slots=True)
class Times:
    """Seconds of each round, by way."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def ratio(self, way: str) -> float:
        """Median over that of a thread, round by round."""
        return median(a / b for a, b in zip(self.seconds[way], self.seconds["thread"], strict=True))

    def added(self, way: str) -> float:
        """Median of what it takes longer than a thread, in seconds."""
        return median(a - b for a, b in zip(self.seconds[way], self.seconds["thread"], strict=True))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Uploads decoded in a thread, by a spare and by a new process.")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    where = machine.describe()
    alone, memory = asyncio.run(decode(options.rounds))
    whole = asyncio.run(serve(options.rounds))
    table = describe(alone | {"a request for 5 s of WAV, demo model": whole}, memory, where, sys.argv[1:])
    machine.write("uploads.md", table)
    raw = {name: times.seconds for name, times in (alone | {"request": whole}).items()}
    machine.write("uploads.json", json.dumps({"machine": where, "memory": memory, "seconds": raw}) + "\n")
    print(table)


def files() -> dict[str, bytes]:
    """Return files by what they are."""
    talk = speech.speak(300, seed=3).samples
    return {
        "5 s, WAV": written(talk[: 5 * SAMPLE_RATE], "WAV"),
        "5 s, MP3": written(talk[: 5 * SAMPLE_RATE], "MP3"),
        "5 min, MP3": written(talk, "MP3"),
        "20 min, FLAC": written(np.tile(talk, 4), "FLAC"),
    }


def written(audio: Any, form: str) -> bytes:
    """Return samples as a file."""
    data = io.BytesIO()
    soundfile.write(data, audio, SAMPLE_RATE, format=form)
    return data.getvalue()


async def decode(rounds: int) -> tuple[dict[str, Times], dict[str, int]]:
    """Decode all files in all ways; return times, and the memory of a spare in bytes."""
    found = {name: Times() for name in files()}
    memory: dict[str, int] = {}
    kept, fresh = Decoders(CollectorRegistry()), Decoders(CollectorRegistry())
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(kept.run())
        for name, data in files().items():
            for number in range(rounds):
                ways = {
                    "thread": lambda data=data: asyncio.to_thread(in_thread, data),
                    "spare": lambda data=data: by_decoder(kept, data),
                    "new process": lambda data=data: by_decoder(fresh, data),
                }
                for way in WAYS if number % 2 else WAYS[::-1]:
                    kept.prepare()
                    memory = await rested(kept)
                    began = perf_counter()
                    await ways[way]()
                    found[name].seconds[way].append(perf_counter() - began)
        keeping.cancel()
    return found, memory


def in_thread(data: bytes) -> None:
    """Decode a file here."""
    recording = Recording(io.BytesIO(data))
    recording.measure(LIMITS.audio_s)
    for _ in recording.blocks():
        pass


async def by_decoder(decoders: Decoders, data: bytes) -> None:
    """Have a file decoded."""
    with TemporaryFile() as file:
        file.write(data)
        file.flush()
        async with decoders.decoding(file, LIMITS) as decoder:
            await decoder.measure()
            async for _ in decoder.blocks():
                pass


async def rested(decoders: Decoders) -> dict[str, int]:
    """Wait until the spare has nothing more to do; return what memory it takes."""
    used = -1.0
    while True:
        with suppress(psutil.NoSuchProcess):
            if decoders.spare is not None:
                process = psutil.Process(decoders.spare)
                before, used = used, sum(process.cpu_times()[:2])
                if used == before:
                    sizes = process.memory_full_info()
                    return {"rss": sizes.rss, "pss": sizes.pss, "uss": sizes.uss, "vms": sizes.vms}
        await asyncio.sleep(RESTED_S)


async def serve(rounds: int) -> Times:
    """Send a recording to a server whose decoders are of each kind."""
    times = Times()
    data = written(speech.speak(5, seed=3).samples, "WAV")
    recognizer = build_recognizer(ModelConfig(name="demo", threads=1))
    async with served(recognizer) as server:
        start = Decoder.start
        for number in range(-1, rounds):  # the first of all warms everything up
            for way in WAYS if number % 2 else WAYS[::-1]:
                server.decoders.prepare()
                await rested(server.decoders)
                if way != "spare":
                    await dismiss(server)
                with patch.object(Decoder, "start", start_thread if way == "thread" else start):
                    began = perf_counter()
                    response = await upload(server, data)
                    seconds = perf_counter() - began
                if response.status_code != 200:
                    raise ValueError(response.text)
                if number >= 0:
                    times.seconds[way].append(seconds)
                await dismiss(server)
    return times


async def dismiss(server: Server) -> None:
    """Have no spare, of whichever kind it is."""
    if spare := server.decoders._taken():  # noqa: SLF001  # nobody else wants it gone
        await spare.end()


@asynccontextmanager
async def served(recognizer: Any) -> AsyncIterator[Server]:
    """Run a server."""
    server = Server(Config(server=ServerConfig(port=0)), recognizer, {})
    ready = asyncio.Event()
    say: Callable[[int], None] = lambda _: ready.set()  # noqa: E731
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(say))
        await ready.wait()
        yield server
        server.stop()


def describe(found: dict[str, Times], memory: dict[str, int], where: str, flags: list[str]) -> str:
    """Write the table."""
    rows = "\n".join(
        f"| {name} | {len(times.seconds['thread'])} | {1e3 * median(times.seconds['thread']):.1f} ms "
        + "".join(f"| {1e3 * times.added(way):+.1f} ms | {times.ratio(way):.2f} " for way in WAYS[1:])
        + "|"
        for name, times in found.items()
    )
    sizes = ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in memory.items())
    return f"""# Uploads decoded in processes of their own

`python -m benchmarks.uploads {" ".join(flags)}`

Machine: {where}.

| | rounds | in a thread (median) | by a spare | over thread | by a new process | over thread |
|---|---|---|---|---|---|---|
{rows}

Medians of differences and of ratios, round by round: the ways took turns. A spare takes: {sizes}.
"""


if __name__ == "__main__":
    main()
