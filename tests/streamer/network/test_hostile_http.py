"""HTTP from clients that mean no good: no token is asked for, so nothing may come of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from streamer.config import ServerConfig
from streamer.network.door import Bounds, Door, Guests
from streamer.network.flow import READ_BYTES
from streamer.network.http_listener import Listener
from streamer.network.http_protocol import HttpProtocol
from streamer.network.listening import prepare
from streamer.network.transport import TransportConfig
from tests.streamer.harness import LOCAL, get, request, running, until

CHUNKED = b"GET %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
UNREAD = 4_000_000
"""Bytes that no kernel buffer holds here."""


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[tuple[Listener, socket.socket]]:
    """Serve an application; yield a connection with small buffers. The end is the daemon's on SIGTERM."""
    door, client = socket.create_server(("127.0.0.1", 0)), socket.socket()
    prepare(door, LOCAL)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    client.setblocking(False)
    guests = Guests(Bounds(10))
    listener = Listener(TransportConfig(app, LOCAL, guests))
    with client:
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.serve([Door(door, guests)]))
            await listener.listening.wait()
            await asyncio.get_running_loop().sock_connect(client, listener.servers[0].sockets[0].getsockname())
            try:
                yield listener, client
            finally:
                listener.end()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_body_of_tiny_chunks_that_nobody_wants_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    take = HttpProtocol.data_received

    def count(protocol: HttpProtocol, data: bytes) -> None:
        parsed.append(len(data))
        take(protocol, data)

    monkeypatch.setattr(HttpProtocol, "data_received", count)
    async with running() as server:
        answer = await request(server, CHUNKED % b"/healthz" + b"1\r\nx\r\n" * 100_000)
        assert (await get(server, "/healthz"))[0] == 200

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nconnection: close\r\n" in answer
    assert sum(parsed) < 10 * READ_BYTES


async def test_who_is_refused_while_sending_a_file_hears_why() -> None:
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % UNREAD
    async with running(replace(LOCAL, token="s3cret")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head + bytes(UNREAD))
        await writer.drain()
        await until(lambda: not writer.transport.get_write_buffer_size())
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 401")


async def test_a_connection_whose_body_was_sent_is_kept() -> None:
    post = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with running() as server:
        answer = await request(server, post + last)

    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.endswith(b'{"status":"ok"}')


async def test_a_client_that_is_heard_no_more_is_let_go_in_time() -> None:
    async with running(ServerConfig(port=0, open_timeout_s=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(CHUNKED % b"/healthz")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        with suppress(OSError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_a_body_that_makes_no_sense_is_no_error_in_the_log(begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    waiting, answered = asyncio.Event(), asyncio.Event()

    async def late(_: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"x"
            waiting.set()
            await answered.wait()
            yield b"y"

        if not begun:
            waiting.set()
            await answered.wait()
        return StreamingResponse(parts())

    loop = asyncio.get_running_loop()
    async with serving(Starlette(routes=[Route("/late", late)])) as (listener, client):
        await loop.sock_sendall(client, CHUNKED % b"/late")
        await waiting.wait()
        await loop.sock_sendall(client, b"zz\r\n")
        heard = b""
        with suppress(ConnectionError):
            while data := await loop.sock_recv(client, 4096):
                heard += data
                if b"400" in heard:
                    answered.set()
        answered.set()
        client.close()
        await until(lambda: not listener.server_state.tasks)

    assert heard.startswith(b"HTTP/1.1 200" if begun else b"HTTP/1.1 400")
    assert errors(caplog) == []


async def test_the_daemon_ends_well_beside_a_client_that_closes_and_does_not_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        with suppress(Exception):
            while True:
                await websocket.send_text("x" * 4000)

    loop = asyncio.get_running_loop()
    async with serving(Starlette(routes=[WebSocketRoute("/ws", talk)])) as (listener, client):
        await loop.sock_sendall(client, UPGRADE)
        connections = listener.server_state.connections
        await until(lambda: any(each.transport.get_write_buffer_size() for each in connections))
        await loop.sock_sendall(client, b"\x88\x80\0\0\0\0")
        await until(lambda: all(each.transport.is_closing() for each in connections))

    assert errors(caplog) == []
    assert not listener.server_state.connections
