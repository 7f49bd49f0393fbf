"""Plain TCP connections: what ends one of them ends no other, and who reads slowly hears it all."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from streamer.network.door import Bounds, Door, Guests
from streamer.network.tcp_listener import TcpListener
from streamer.network.tcp_wire import TcpWire

TOLD = 60_000
"""Bytes, less than asyncio takes before it makes a sender wait, and more than the kernel does here."""
SMALL = 4_096
"""Kernel buffers."""


@asynccontextmanager
async def listening(serve: Callable[[TcpWire], Awaitable[None]]) -> AsyncIterator[tuple[TcpListener, socket.socket]]:
    """Listen with small buffers; yield the listener and a client's socket that has said its last word already."""
    loop = asyncio.get_running_loop()
    server, client = socket.create_server(("127.0.0.1", 0)), socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.setblocking(False)
    guests = Guests(Bounds(10))
    with Door(server, guests) as door, client:
        listener = TcpListener([door], serve, guests, send_timeout_s=5)
        running = asyncio.create_task(listener.run())
        await loop.sock_connect(client, door.getsockname())
        client.shutdown(socket.SHUT_WR)
        yield listener, client
        listener.end()
        await running


async def read(client: socket.socket) -> int:
    """Read to the end; return how much it was."""
    loop = asyncio.get_running_loop()
    heard = 0
    with suppress(ConnectionError):
        while data := await loop.sock_recv(client, SMALL):
            heard += len(data)
    return heard


async def to_its_end(wire: TcpWire) -> None:
    """Hear everything."""
    while await wire.receive():
        pass


async def test_a_client_that_reads_late_hears_the_end_and_the_listener_goes_on() -> None:
    served = asyncio.Event()

    async def serve(wire: TcpWire) -> None:
        await to_its_end(wire)
        await wire.send(b"x" * TOLD)
        served.set()

    async with listening(serve) as (_, client):
        await served.wait()
        assert await read(client) == TOLD


async def test_who_stopped_waiting_for_a_client_to_leave_still_lets_it_read() -> None:
    served = asyncio.Event()

    async def serve(wire: TcpWire) -> None:
        await to_its_end(wire)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await wire.receive()
        await wire.send(b"x" * TOLD)
        served.set()

    async with listening(serve) as (_, client):
        await served.wait()
        assert await read(client) == TOLD


@pytest.mark.parametrize("guilty", ["serving", "parting"])
async def test_what_a_connection_raises_is_logged_and_counted_and_ends_no_other(
    guilty: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    part = TcpWire.part
    failures: list[str] = []

    async def fail(wire: TcpWire) -> None:
        await part(wire)
        raise AttributeError("call_soon")

    async def serve(wire: TcpWire) -> None:
        await to_its_end(wire)
        if guilty == "serving" and not failures:
            raise AttributeError("call_soon")

    if guilty == "parting":
        monkeypatch.setattr(TcpWire, "part", fail)
    with caplog.at_level(logging.ERROR):
        async with listening(serve) as (listener, client):
            listener.failed = lambda: failures.append(guilty)
            assert await read(client) == 0
            monkeypatch.undo()
            _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            writer.close()
            await writer.wait_closed()

    assert failures == [guilty]
    assert [record.getMessage() for record in caplog.records] == ["connection failed"]
