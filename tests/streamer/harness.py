"""A real server on localhost with a recognizer that is known to the sample, and a client that hides nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Recognizer, Samples, Word
from streamer.config import Config, ServerConfig
from streamer.decoding.decoder import DECODER
from streamer.microphone.own_microphone import Source, default_source
from streamer.recognition.health import TRIAL
from streamer.server import Server
from tests.fakes import FLOOR, STEP, WORD_SAMPLES, LevelRecognizer, LevelVad, runs, silence, speak

EDGE_SAMPLES = SAMPLE_RATE // 50
"""What a resampling filter makes of an edge is shorter than this."""
LOCAL = ServerConfig(port=0)


class RippleRecognizer(LevelRecognizer):
    """Reads levels whose edges went through a filter."""

    def words(self, request: DecodeRequest) -> Iterator[Word]:
        """Read every word of the window, whatever the edges look like."""
        for run in runs(request.audio):
            length, number = run.end - run.start, round((run.level - FLOOR) / STEP)
            if length < EDGE_SAMPLES:
                continue
            start, end = request.start + run.start, request.start + run.end
            if length < WORD_SAMPLES - EDGE_SAMPLES and run.end > len(request.audio) - EDGE_SAMPLES:
                yield Word(f" cut{length}", start, end, 0.5, (1000 + length,))
            else:
                yield Word(self.spell(number, request), start, end, 0.9, (number,))


class GatedRecognizer(LevelRecognizer):
    """Decodes the warm-up, and everything else only while the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Wait until the gate is open."""
        if batch[0].stream != TRIAL:
            self.gate.wait()
        return super().transcribe(batch)


@asynccontextmanager
async def running(
    settings: ServerConfig = LOCAL,
    recognizer: Recognizer | None = None,
    config: Config | None = None,
    environment: dict[str, str] | None = None,
    make_source: Callable[[str | None], Source] = default_source,
    *,
    decoder: Sequence[str] = DECODER,
) -> AsyncIterator[Server]:
    """Run a server; it is stopped and awaited at the end."""
    config = replace(config or Config(), server=settings)
    server = Server(
        config,
        recognizer or LevelRecognizer(),
        environment or {},
        lambda _: LevelVad(),
        make_source=make_source,
        decoder=decoder,
    )
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run(lambda _: ready.set()))
        waiting = group.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not task.done():
            try:
                yield server
            finally:
                server.stop()


@dataclass
class Heard:
    """Everything a client was told."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None
    reason: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        """Types in order."""
        return [message["type"] for message in self.messages]

    @property
    def finals(self) -> list[str]:
        """Texts of the utterances."""
        return [message["text"] for message in self.of("final")]

    @property
    def words(self) -> list[tuple[str, float, float]]:
        """Committed words with their times."""
        return [(w["text"], w["start"], w["end"]) for commit in self.of("commit") for w in commit["words"]]


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket to the stream endpoint."""
    options.setdefault("proxy", None)
    options.setdefault("compression", None)
    async with connect(f"ws://127.0.0.1:{server.port}/v1/stream", **options) as socket:
        yield socket


async def listen(socket: ClientConnection, heard: Heard | None = None) -> Heard:
    """Take everything until the server closes."""
    heard = heard or Heard()
    with suppress(ConnectionClosed):
        while True:
            heard.messages.append(json.loads(await socket.recv()))
    heard.code, heard.reason = socket.close_code, socket.close_reason or ""
    return heard


async def until_heard(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Take messages up to the first of one type."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == kind:
            return message


async def push(socket: ClientConnection, messages: Iterable[str | bytes | dict[str, Any]]) -> None:
    """Send messages as long as the server takes them."""
    with suppress(ConnectionClosed):
        for message in messages:
            await socket.send(json.dumps(message) if isinstance(message, dict) else message)


async def converse(server: Server, messages: Iterable[str | bytes | dict[str, Any]], **options: Any) -> Heard:
    """Send messages and take everything the server says meanwhile and afterwards."""
    async with connected(server, **options) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, messages))
        return await listen(socket)


async def transcribe(server: Server, audio: bytes, chunk: int | None = None, **start: Any) -> Heard:
    """Push a whole stream in chunks of bytes."""
    size = chunk or max(1, len(audio))
    chunks = [audio[at : at + size] for at in range(0, len(audio), size)]
    return await converse(server, [{"type": "start", **start}, *chunks, {"type": "stop"}])


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something is so; the test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110  # what is waited for is inside the server and has no event
        await asyncio.sleep(0)


async def request(server: Server, data: bytes, until: bytes = b"") -> bytes:
    """Send bytes over plain TCP and return what comes back, up to `until` or until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data)
        await writer.drain()
        return await (reader.readuntil(until) if until else reader.read())
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def get(server: Server, path: str) -> tuple[int, str]:
    """GET a path; return status and body."""
    answer = await request(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def metric(server: Server, name: str) -> float:
    """Return one value of /metrics by its full name, labels included."""
    _, body = await get(server, "/metrics")
    for line in body.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    return 0.0


def s16(audio: Samples) -> bytes:
    """Encode as 16-bit integers."""
    return np.round(audio * 32_767).astype("<i2").tobytes()


def sentence(*words: int) -> Samples:
    """Speak words with enough silence after them to end the utterance."""
    return np.concatenate([silence(SAMPLE_RATE // 10), speak(words), silence(SAMPLE_RATE)])
