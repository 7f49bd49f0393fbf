"""How long an HTTP connection is kept, and that a daemon that ends lets the answers out that it has."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamer.network.door import Bounds, Door, Guests
from streamer.network.http_listener import Listener
from streamer.network.listening import prepare
from streamer.network.tls import Certificate
from streamer.network.transport import TransportConfig
from tests.certificates import Papers, issue
from tests.streamer.harness import LOCAL, until

BODY = b"x" * 4_000_000
"""More than any kernel buffer holds here."""
STAYING = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LEAVING = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def papers(request: pytest.FixtureRequest, tmp_path: Path) -> Papers | None:
    return issue(tmp_path, trustme.CA()) if request.param else None


@asynccontextmanager
async def listening(body: bytes, papers: Papers | None = None) -> AsyncIterator[Listener]:
    """Answer everything with `body`, and end as the daemon does on SIGTERM."""

    async def answer(_: Request) -> Response:
        return Response(body)

    door, guests = socket.create_server(("127.0.0.1", 0)), Guests(Bounds(10))
    prepare(door, LOCAL)
    certificate = Certificate(papers.certificate, papers.key) if papers else None
    app = Starlette(routes=[Route("/", answer)])
    listener = Listener(TransportConfig(app, LOCAL, guests, certificate))
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.serve([Door(door, guests)]))
        await listener.listening.wait()
        try:
            yield listener
        finally:
            listener.end()


def ask(listener: Listener, papers: Papers | None, request: bytes) -> socket.socket:
    """Connect and ask; from then on the client does nothing by itself."""
    client = socket.create_connection(listener.servers[0].sockets[0].getsockname())
    if papers:
        client = papers.client().wrap_socket(client, server_hostname="localhost")
    client.sendall(request)
    return client


def read(client: socket.socket, until: bytes = b"") -> bytes:
    """Return what comes, to the end or to some bytes."""
    heard = b""
    while data := client.recv(65_536):
        heard += data
        if until and heard.endswith(until):
            break
    return heard


def is_leaving(listener: Listener) -> bool:
    """Tell whether the only client there is has its whole answer on its way, and is let go after it."""
    return any(each.transport.is_closing() for each in listener.server_state.connections)


async def test_a_whole_answer_is_let_out_at_the_end_though_its_client_said_that_it_leaves(
    papers: Papers | None,
) -> None:
    async with listening(BODY, papers) as listener:
        listener.config.timeout_graceful_shutdown = 60
        with await asyncio.to_thread(ask, listener, papers, LEAVING) as client:
            await until(lambda: is_leaving(listener))
            listener.end()
            await until(lambda: not listener.servers[0].is_serving())
            answer = await asyncio.to_thread(read, client)

    assert len(answer.partition(b"\r\n\r\n")[2]) == len(BODY)


async def test_who_leaves_and_takes_nothing_is_dropped_at_the_end_and_is_no_error(
    papers: Papers | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack, listening(BODY, papers) as listener:
        listener.config.timeout_graceful_shutdown = 0
        stack.enter_context(await asyncio.to_thread(ask, listener, papers, LEAVING))
        await until(lambda: is_leaving(listener))

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert not listener.server_state.connections


async def test_who_has_an_answer_and_stays_is_not_waited_for_at_the_end(papers: Papers | None) -> None:
    async with AsyncExitStack() as stack, listening(b"done", papers) as listener:
        listener.config.timeout_graceful_shutdown = 3600
        client = stack.enter_context(await asyncio.to_thread(ask, listener, papers, STAYING))
        await asyncio.to_thread(read, client, b"done")


async def test_the_time_of_a_request_begins_with_the_answer_before_it() -> None:
    deadlines = []
    async with listening(b"done") as listener:
        with await asyncio.to_thread(ask, listener, None, STAYING) as client:
            for _ in range(2):
                await asyncio.to_thread(read, client, b"done")
                [connection] = listener.server_state.connections
                deadlines.append(connection._deadline)
                client.sendall(STAYING)

    assert deadlines[0].cancelled()
    assert deadlines[0].when() < deadlines[1].when()
