"""A TCP proxy that cuts: connections are refused, reset, half closed or held up when a test says so."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Between clients and one server, whose port may change."""

    def __init__(self, port: int) -> None:
        self.port = port
        """Where connections go; 0 refuses them."""
        self.listening = 0
        self.connections = 0
        self.passed = 0
        """Bytes from clients so far."""
        self.cut_at: int | None = None
        """Reset every connection when so many bytes have passed from clients."""
        self.cuts = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()

    def hold(self) -> None:
        """Let nothing through, and nobody know."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Break all connections, with RST."""
        self.cuts += 1
        for writer in self._writers:
            transport_socket = writer.get_extra_info("socket")
            if transport_socket is None:
                continue
            with suppress(OSError):  # one that is closed already
                transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def half_close(self) -> None:
        """End the direction towards the server, without a word of WebSocket."""
        for writer in self._writers:
            with suppress(OSError, RuntimeError):
                writer.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self.port:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
            self.connections += 1
            self._writers.add(back)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, back, counted=True))
                    group.create_task(self._pump(there, writer, counted=False))
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except (OSError, ExceptionGroup):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                await self._flowing.wait()
                if counted:
                    self.passed += len(data)
                    if self.cut_at is not None and self.passed >= self.cut_at:
                        self.cut_at = None
                        self.reset()
                        return
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.listening = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.release()
        proxy.reset()
