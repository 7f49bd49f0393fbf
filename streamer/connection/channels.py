"""One client's wire, divided: each channel of its audio is a stream of its own, with a connection and a session.

Every message goes to every channel, whose codec takes from it what is its own; what the channels say goes to the client
as it comes. The wire is closed when the last channel closes, or when one of them fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from streamer.connection.connection import Connection
from streamer.connection.wire import BROKEN, Disconnected, Wire
from streamer.core.commands import Close, Message

QUEUED_MESSAGES = 4
"""Of each channel; while one is that far behind, the client is read no further."""
GOOD_ENDS = frozenset({Close.NORMAL, Close.RESTARTING})
"""Ends that all channels come to, each in its own time."""


class Channels:
    """The channels of one client."""

    def __init__(self, wire: Wire, count: int) -> None:
        self._wire = wire
        self._open = count
        self._closed = False
        self.wires = tuple(ChannelWire(wire, self) for _ in range(count))
        """One for each channel's connection."""

    async def run(self, connections: Sequence[Connection]) -> None:
        """Serve all channels to their ends."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._distribute())
            async with asyncio.TaskGroup() as streams:
                for connection in connections:
                    streams.create_task(connection.run())
            reading.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Note that a channel has come to its end."""
        self._open -= 1
        if self._closed or (self._open and code in GOOD_ENDS):
            return
        self._closed = True
        self.lose()
        await self._wire.close(code, reason)

    def lose(self) -> None:
        """Let all channels know that the client is gone: one that has nothing to send would not find out."""
        for wire in self.wires:
            wire.lose()

    async def _distribute(self) -> None:
        """Give every message to every channel, and at last the news that there are no more."""
        with suppress(Disconnected):
            while True:
                message = await self._wire.receive()
                for wire in self.wires:
                    await wire.deliver(message)
        for wire in self.wires:
            await wire.deliver(None)


class ChannelWire(Wire):
    """A client's wire as one of its channels sees it."""

    def __init__(self, wire: Wire, channels: Channels) -> None:
        self._wire = wire
        self._channels = channels
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(QUEUED_MESSAGES)
        self._reads = True
        self.gone = False

    async def deliver(self, message: Message | None) -> None:
        """Take a message that has come, None for the client's leaving; wait while the channel is behind."""
        if self._reads:
            await self._messages.put(message)

    def lose(self) -> None:
        """Read no more: whoever waits hears that the client is gone, and nobody waits to deliver."""
        self.gone = True
        self._stop_reading()

    async def receive(self) -> Message:
        """Wait for the next message."""
        message = None if self.gone else await self._messages.get()
        if message is None:
            self.gone = True
            raise Disconnected(BROKEN)
        return message

    async def send(self, message: Message) -> None:
        """Send a message, between those of the other channels."""
        if self.gone:
            raise Disconnected(BROKEN)
        try:
            await self._wire.send(message)
        except Disconnected:
            self._channels.lose()
            raise

    async def close(self, code: int, reason: str = "") -> None:
        """Say that this channel is at its end."""
        self._stop_reading()
        await self._channels.close(code, reason)

    def _stop_reading(self) -> None:
        """Leave room for whoever is delivering, and wake whoever waits."""
        self._reads = False
        while not self._messages.empty():
            self._messages.get_nowait()
        self._messages.put_nowait(None)
