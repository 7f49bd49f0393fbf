"""HTTP and WebSocket byte by byte, for clients that no library would be."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PATIENCE_S = 15.0


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, mask: bool = True, reserved: int = 0) -> bytes:
    """Return one WebSocket frame (RFC 6455, 5.2) of a client."""
    first = (fin << 7) | (reserved << 4) | opcode
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", first, mask << 7 | size)
    elif size < 65_536:
        head = struct.pack(">BBH", first, mask << 7 | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask << 7 | 127, size)
    return head + (bytes(4) + data if mask else data)


def upgrade(path: str = "/v1/stream", *headers: str, host: str = "localhost") -> bytes:
    """Return the request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def request(path: str, *headers: str, method: str = "GET", host: str = "localhost") -> bytes:
    """Return a plain request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]).encode(
        "latin-1"
    )


async def answer(port: int, data: bytes, patience_s: float = PATIENCE_S) -> bytes:
    """Send bytes and return everything that comes back until the server closes; raises TimeoutError if it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(patience_s):
            with suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
            with suppress(ConnectionError):
                while more := await reader.read(65_536):
                    received += more
    finally:
        writer.transport.abort()
    return received


def status_of(answer: bytes) -> int:
    """Return the HTTP status of an answer; 0 if it is none."""
    parts = answer.split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[0].startswith(b"HTTP/") and parts[1].isdigit() else 0


async def get(port: int, path: str, *headers: str, method: str = "GET", host: str = "localhost") -> tuple[int, str]:
    """Ask for a path; return status and body."""
    received = await answer(port, request(path, *headers, method=method, host=host))
    return status_of(received), received.partition(b"\r\n\r\n")[2].decode(errors="replace")


@dataclass
class Ending:
    """What a server said over a WebSocket before it was over."""

    texts: list[str] = field(default_factory=list)
    code: int | None = None
    """Of its close frame; None if there was none."""
    reason: str = ""
    reset: bool = False


class RawSocket:
    """A WebSocket whose frames are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(
        cls, port: int, path: str = "/v1/stream", headers: Sequence[str] = (), limit: int = 2**16
    ) -> RawSocket:
        """Open one. Raises ConnectionError if the server would not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
        writer.write(upgrade(path, *headers))
        head = await reader.readuntil(b"\r\n\r\n")
        if status_of(head) != 101:
            writer.transport.abort()
            raise ConnectionError(head.split(b"\r\n", 1)[0].decode(errors="replace"))
        return cls(reader, writer)

    def write(self, *frames: bytes) -> None:
        """Write bytes."""
        for one in frames:
            self.writer.write(one)

    async def drain(self) -> None:
        """Wait until the server has taken most of it; a server that has gone takes everything."""
        with suppress(ConnectionError):
            await self.writer.drain()

    async def ending(self, patience_s: float = PATIENCE_S) -> Ending:
        """Read to the end."""
        ending = Ending()
        try:
            async with asyncio.timeout(patience_s):
                await self._read(ending)
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            ending.reset = True
        finally:
            self.abort()
        return ending

    async def _read(self, ending: Ending) -> None:
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
            data = await self.reader.readexactly(size)
            if first & 0x0F == CLOSE:
                ending.code = int.from_bytes(data[:2]) if data else 1005
                ending.reason = data[2:].decode(errors="replace")
                return
            if first & 0x0F == TEXT:
                ending.texts.append(data.decode(errors="replace"))

    def abort(self) -> None:
        """Be gone."""
        self.writer.transport.abort()


async def raw(port: int, *frames: bytes, path: str = "/v1/stream") -> Ending:
    """Open a WebSocket, write frames and return how it ended."""
    socket = await RawSocket.open(port, path)
    socket.write(*frames)
    return await socket.ending()
