"""A client that says numbered frames at a pace, and notes what it is told and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from model.types import Samples
from tests.faulty.spoken import FRAME, utterances
from tests.faulty.verdict import Verdict, judge

FRAME_S = 0.1


@dataclass
class Speaker:
    """One stream: `run` it, then look at what came."""

    key: int
    lengths: Iterable[int]
    """Words of each utterance."""
    speed: float = 0.0
    """Times real time; 0 as fast as the server takes it."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    """When each message came, in seconds of the monotonic clock."""
    said: dict[int, int] = field(default_factory=dict)
    """Frame of the stream in which each number was said."""
    close_code: int | None = None

    async def run(self, port: int) -> None:
        """Say everything and listen to the end."""
        address = f"ws://127.0.0.1:{port}/v1/stream"
        # A pong waits behind all the audio that is on its way.
        async with connect(address, compression=None, proxy=None, max_queue=1024, ping_timeout=None) as socket:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(socket))
                await self._listen(socket)
            self.close_code = socket.close_code

    @property
    def verdict(self) -> Verdict:
        """Whether it was told what it said."""
        return judge(self.key, self.said, self.messages)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def warnings(self) -> list[str]:
        """Codes of the warnings."""
        return [message["code"] for message in self.of("warning")]

    async def _speak(self, socket: ClientConnection) -> None:
        began = monotonic()
        with suppress(ConnectionClosed):
            await socket.send(json.dumps({"type": "start"}))
            for index, (number, samples) in enumerate(utterances(self.key, self.lengths)):
                if self.speed:
                    await asyncio.sleep(began + (index + 1) * FRAME_S / self.speed - monotonic())
                if number is not None:
                    self.said[number] = index
                await socket.send(pcm(samples))
            await socket.send(json.dumps({"type": "stop"}))

    async def _listen(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = json.loads(await socket.recv())
                self.arrivals.append(monotonic())
                self.messages.append(message)


def pcm(samples: Samples) -> bytes:
    """Encode (1600,) samples as 16-bit integers."""
    assert len(samples) == FRAME
    return np.round(samples * 32_767).astype("<i2").tobytes()
