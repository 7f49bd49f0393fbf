"""Many clients at once in virtual time: the daemon's connections, engine and governor, on a device of known speed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.types import SAMPLE_RATE, DecodeRequest, Recognizer, Samples
from streamer.commands.local import LocalWire, Pipe
from streamer.config import Config, EndpointConfig, ServerConfig, SessionConfig
from streamer.connection.admission import Admission
from streamer.connection.connection import Connection
from streamer.core.session import Session
from streamer.metrics import Metrics
from streamer.protocols.native import NativeCodec
from streamer.recognition.recognition import Recognition
from tests.fakes import LevelRecognizer, LevelVad
from tests.streamer.harness import s16

CHUNK_S = 0.1
Cost = Callable[[Sequence[DecodeRequest]], float]
"""Seconds that a batch takes."""


class VirtualDevice:
    """Takes the time that a batch costs, which nobody waits for in truth."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.batches: list[list[DecodeRequest]] = []
        self.busy = 0.0

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Do the work when its time is over."""
        if arguments and isinstance(arguments[0], list):
            self.batches.append(arguments[0])
            seconds = self.cost(arguments[0])
            self.busy += seconds
            await asyncio.sleep(seconds)
        return function(*arguments)

    def stop(self) -> None:
        """Nothing runs."""


def affine(per_batch: float, per_row: float) -> Cost:
    """Return what a device costs that takes so long for a batch and for each of its rows, in seconds."""
    return lambda batch: per_batch + per_row * len(batch)


@dataclass
class Client:
    """One stream and what it was told, with times."""

    audio: Samples
    begins: float = 0.0
    """Seconds after the crowd's start."""
    at_once: bool = False
    """Whether it pushes everything as fast as it is taken, rather than in real time."""
    refused: str | None = None
    heard: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for _, message in self.heard if message["type"] == kind]

    @property
    def finals(self) -> list[str]:
        """Texts of the utterances."""
        return [message["text"] for message in self.of("final") if message["text"]]

    @property
    def lags(self) -> list[float]:
        """Seconds received and not yet decoded, as told."""
        return [message["lag"] for _, message in self.heard if message.get("lag") is not None]


class Crowd:
    """A daemon without a network, and its clients."""

    def __init__(
        self,
        cost: Cost,
        *,
        recognizer: Recognizer | None = None,
        session: SessionConfig | None = None,
        max_load: float = 0.9,
        max_sessions: int = 1000,
    ) -> None:
        """Must be made inside the loop whose time counts."""
        clock = asyncio.get_running_loop().time
        self.clock = clock
        self.config = session or SessionConfig()
        self.metrics = Metrics()
        self.device = VirtualDevice(cost)
        self.recognizer = recognizer or LevelRecognizer()
        self.recognition = Recognition(
            self.recognizer,
            Config(session=self.config, server=ServerConfig(max_load=max_load)),
            self.metrics,
            sessions=lambda: self.admission.count,
            clock=clock,
            loop_clock=lambda: 0.0,
            make_device=lambda _: self.device,
        )
        self.governor, self.engine = self.recognition.governor, self.recognition.engine
        self.admission = Admission(max_sessions, lambda: True, self.metrics, self.recognition.has_room_for)

    async def run(self, clients: Sequence[Client]) -> None:
        """Serve all clients to their ends."""
        async with asyncio.TaskGroup() as group:
            engine = group.create_task(self.engine.run())
            async with asyncio.TaskGroup() as crowd:
                for client in clients:
                    crowd.create_task(self.serve(client))
            engine.cancel()

    async def serve(self, client: Client) -> None:
        """Let one client come, speak and go."""
        await asyncio.sleep(client.begins)
        refusal = self.admission.refusal()
        if refusal is not None:
            client.refused = refusal.code
            return
        to_server, to_client = Pipe(16), Pipe(16)
        connection = Connection(
            wire=LocalWire(to_server, to_client),
            codec=NativeCodec("levels", ("en",)),
            engine=self.engine,
            governor=self.governor,
            open_session=lambda name, _: Session(name, self.config, EndpointConfig(), LevelVad()),
            config=ServerConfig(),
            max_backlog=self.config.max_backlog_ms * SAMPLE_RATE // 1000,
            metrics=self.metrics,
            clock=self.clock,
        )
        with self.admission.admitted(connection):
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.run())
                group.create_task(self._push(client, to_server))
                await self._listen(client, to_client)

    async def _push(self, client: Client, pipe: Pipe) -> None:
        await pipe.put('{"type":"start"}')
        size = round(CHUNK_S * SAMPLE_RATE)
        began = self.clock()
        for start in range(0, len(client.audio), size):
            chunk = client.audio[start : start + size]
            if not client.at_once:
                await asyncio.sleep(began + (start + len(chunk)) / SAMPLE_RATE - self.clock())
            await pipe.put(s16(chunk))
        await pipe.put('{"type":"stop"}')

    async def _listen(self, client: Client, pipe: Pipe) -> None:
        while (message := await pipe.get()) is not None:
            client.heard.append((self.clock(), json.loads(message)))
