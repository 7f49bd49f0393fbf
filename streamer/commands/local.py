"""The daemon's connection without a network: client and server in one process, on both ends of two queues.

Both sides run the code that they run over a WebSocket, so what `streamer listen` shows is what a daemon would say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from clients.connection import Stream
from clients.errors import ConnectionLost
from model.types import SAMPLE_RATE, Recognizer
from streamer.commands.settings import RecognitionSettings
from streamer.config import ServerConfig
from streamer.connection.connection import Connection
from streamer.connection.wire import Disconnected, Wire
from streamer.core.commands import Close, Configure
from streamer.core.session import Session
from streamer.core.vad import VoiceActivityDetector, WebRtcVad
from streamer.metrics import Metrics
from streamer.protocols.messages import Start
from streamer.protocols.native import NativeCodec
from streamer.recognition.engine import Engine
from streamer.recognition.governor import Governor

QUEUED_MESSAGES = 16
"""Either way; whoever puts in one more waits."""

Pipe: TypeAlias = asyncio.Queue[str | bytes | None]
"""Messages, then None."""


class LocalSocket:
    """The client's end."""

    def __init__(self, outgoing: Pipe, incoming: Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, message: str | bytes) -> None:
        """Hand over a message; wait while the other end is behind."""
        await self._outgoing.put(message)

    async def recv(self) -> str | bytes:
        """Wait for a message. Raises ConnectionLost after the last."""
        message = await self._incoming.get()
        if message is None:
            raise ConnectionLost("recognition has ended")
        return message


class LocalWire(Wire):
    """The server's end."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self.gone = False
        self._incoming = incoming
        self._outgoing = outgoing

    async def receive(self) -> str | bytes:
        """Wait for a message. Raises Disconnected after the last."""
        message = await self._incoming.get()
        if message is None:
            raise Disconnected(Close.NORMAL)
        return message

    async def send(self, message: str | bytes) -> None:
        """Hand over a message; wait while the other end is behind."""
        await self._outgoing.put(message)

    async def close(self, code: int, reason: str = "") -> None:
        """Say that there are no more."""
        del code, reason
        self.gone = True
        await self._outgoing.put(None)


@asynccontextmanager
async def local_stream(
    recognizer: Recognizer,
    settings: RecognitionSettings,
    start: Start,
    make_vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
) -> AsyncGenerator[Stream, None]:
    """Open a stream that is recognised in this process. Raises StreamError if `start` asks for what cannot be."""
    settings.session.check_languages(recognizer.card.languages)
    governor = Governor(settings.session, owing=lambda: engine.owing)
    engine = Engine(
        recognizer,
        settings.model.max_batch,
        observers=(governor,),
        batch_seconds=lambda: governor.batch_seconds,
    )
    to_server, to_client = Pipe(QUEUED_MESSAGES), Pipe(QUEUED_MESSAGES)

    def open_session(name: str, wishes: Configure) -> Session:
        return Session(
            name,
            settings.session,
            settings.endpoint,
            make_vad(settings.endpoint.vad_aggressiveness),
            language=wishes.language,
            languages=wishes.languages,
            task=wishes.task,
            context=wishes.context,
            partials=wishes.partials,
        )

    connection = Connection(
        wire=LocalWire(to_server, to_client),
        codec=NativeCodec(recognizer.card.name, recognizer.card.languages, recognizer.card.tasks),
        engine=engine,
        governor=governor,
        open_session=open_session,
        config=ServerConfig(idle_timeout_s=0),  # a microphone may be unplugged for as long as one likes
        max_backlog=settings.session.max_backlog_ms * SAMPLE_RATE // 1000,
        metrics=Metrics(),
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(engine.run()), tasks.create_task(connection.run())]
        yield await Stream.open(LocalSocket(to_server, to_client), start)
        for task in running:
            task.cancel()
