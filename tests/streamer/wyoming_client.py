"""A Wyoming client that hides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from model.types import SAMPLE_RATE, Samples
from streamer.protocols.wyoming_events import EventReader, WyomingEvent, write
from tests.streamer.protocols.stage import pcm

FORMAT = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}
DESCRIBE, START, STOP = WyomingEvent("describe"), WyomingEvent("audio-start", FORMAT), WyomingEvent("audio-stop")


def chunk(audio: Samples) -> WyomingEvent:
    return WyomingEvent("audio-chunk", FORMAT, pcm(audio))


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    events: EventReader = field(default_factory=lambda: EventReader(1_048_576))

    def send(self, *told: WyomingEvent) -> None:
        """Send events."""
        self.writer.write(b"".join(map(write, told)))

    async def hear(self, last: str = "") -> list[WyomingEvent]:
        """Return what comes up to an event of this type, or up to the end."""
        heard: list[WyomingEvent] = []
        while not (heard and heard[-1].type == last):
            data = await self.reader.read(65_536)
            if not data:
                break
            heard += self.events.receive(data)
        return heard

    async def transcript(self, *audio: Samples) -> str:
        """Speak; return the answer."""
        self.send(START, *map(chunk, audio), STOP)
        heard = await self.hear("transcript-stop")
        return str(heard[-2].data["text"])


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
