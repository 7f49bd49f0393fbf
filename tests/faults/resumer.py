"""A client that comes back: says numbered frames in real time through the client library, whatever happens to the link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec

from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.resuming import connect_resuming
from tests.faulty.speaker import FRAME_S, pcm
from tests.faulty.spoken import utterances
from tests.faulty.verdict import Verdict, judge


@dataclass
class Resumer:
    """One resumable stream: `run` it, then look at what came."""

    key: int
    lengths: Iterable[int]
    speed: float = 1.0
    live: bool = True
    messages: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    said: dict[int, int] = field(default_factory=dict)
    failure: str = ""

    async def run(self, address: str) -> None:
        """Say everything and listen to the end; `address` is HOST:PORT."""
        try:
            async with (
                connect_resuming(f"ws://{address}", live=self.live, notice=self.notices.append) as stream,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._speak(stream))
                async for message in stream:
                    self.arrivals.append(monotonic())
                    self.messages.append(msgspec.to_builtins(message))
        except* (ConnectionLost, StreamError, Unreachable) as errors:
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.failure = f"{type(error).__name__} {getattr(error, 'code', '')}: {error}"

    async def _speak(self, stream: Any) -> None:
        began = monotonic()
        for index, (number, samples) in enumerate(utterances(self.key, self.lengths)):
            await asyncio.sleep(began + (index + 1) * FRAME_S / self.speed - monotonic())
            if number is not None:
                self.said[number] = index
            await stream.send_audio(pcm(samples))
        await stream.stop()

    @property
    def verdict(self) -> Verdict:
        """Whether it was told what it said."""
        return judge(self.key, self.said, self.messages)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def complete(self) -> bool:
        """Whether it has every word, once, no gap, and the end."""
        return self.verdict == Verdict() and bool(self.of("done")) and not self.failure
