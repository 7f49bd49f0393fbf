"""A plain TCP connection as a wire: its bytes as they come, and an end that the client gets to hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from streamer.connection.wire import BROKEN, Disconnected, Wire
from streamer.core.commands import Message
from streamer.network.flow import LINGER_S, READ_BYTES, drop


class TcpWire(Wire):
    """An accepted connection. Messages are whatever the network delivers at once."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        send_timeout_s: float,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """Take over a connection; `opened` is called by who serves the client, when that has asked for something."""
        self.opened = opened
        self._reader = reader
        self._writer = writer
        self._send_timeout_s = send_timeout_s
        self._unread = b""
        self._ended = False
        """Whether the client has said its last word; it may still listen."""
        self.gone = False
        # asyncio reads a quarter of a megabyte at once otherwise.
        writer.transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of its own transports

    def unread(self, data: bytes) -> None:
        """Put bytes back: they are what is received next."""
        self._unread = data + self._unread

    async def receive(self) -> Message:
        """Wait for bytes; none are the end of what the client sends, after which there is only its leaving."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            if self._ended:
                await self._closed()
                raise self._lost()
            data = await self._reader.read(READ_BYTES)
        except OSError:
            raise self._lost() from None
        self._ended = not data
        return data

    async def send(self, message: Message) -> None:
        """Send bytes, or text as UTF-8."""
        if self.gone:
            raise Disconnected(BROKEN)
        try:
            async with asyncio.timeout(self._send_timeout_s):
                self._writer.write(message.encode() if isinstance(message, str) else message)
                await self._writer.drain()
        except TimeoutError:
            drop(self._writer.transport)
            raise self._lost(slow=True) from None
        except OSError:
            raise self._lost() from None

    async def close(self, code: int, reason: str = "") -> None:
        """Say that there is no more; TCP has no words for why."""
        del code, reason
        if self.gone:
            raise Disconnected(BROKEN)
        with suppress(OSError):
            self._writer.write_eof()

    async def part(self) -> None:
        """Let the client read what it was told, then drop it: a socket closed with unread data is reset, unheard."""
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    self._writer.write_eof()
                    while not self.gone and await self._reader.read(READ_BYTES):
                        pass
                    self._writer.close()
                    await self._closed()
        finally:
            drop(self._writer.transport)

    async def _closed(self) -> None:
        """Wait until the connection is gone. Raises OSError if it broke.

        Cancelling asyncio's own wait would cancel everybody else's, and so part() would not linger.
        """
        await asyncio.shield(self._writer.wait_closed())

    def _lost(self, *, slow: bool = False) -> Disconnected:
        self.gone = True
        return Disconnected(BROKEN, slow=slow)
