"""What a server said, on its way to whoever reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable

from clients.received import FromServer
from streamer.protocols import messages

QUEUED_MESSAGES = 1024


class News:
    """A bounded queue, and before it what has no place there yet: what one message of the server brings.

    What was taken of a server counts as had, and is not sent again. So whoever is cancelled while it waits for a place
    leaves the rest for later.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[FromServer | Exception] = asyncio.Queue(QUEUED_MESSAGES)
        self._waiting: deque[FromServer] = deque()

    def add(self, told: Iterable[FromServer]) -> None:
        """Take what is to be read, in this order; `hand_on` follows."""
        self._waiting.extend(told)

    async def hand_on(self) -> None:
        """Wait until everything is in the queue."""
        while self._waiting:
            await self._queue.put(self._waiting[0])
            self._waiting.popleft()

    async def end(self, error: Exception) -> None:
        """Let the reader have the rest, and then this."""
        await self.hand_on()
        await self._queue.put(error)

    async def __aiter__(self) -> AsyncIterator[FromServer]:
        """Yield messages up to `Done`, which is the last. Raises what the stream was ended with."""
        while True:
            message = await self._queue.get()
            if isinstance(message, Exception):
                raise message
            yield message
            if isinstance(message, messages.Done):
                return
