"""What listens for HTTP: uvicorn's server, whose beginning and end are the daemon's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from socket import socket
from typing import Any, cast

import uvicorn

from streamer.network.http_protocol import HttpProtocol
from streamer.network.listening import named
from streamer.network.transport import Presence, TransportConfig
from streamer.network.turnstile import Turnstile

LOOK_S = 0.05
"""Between two looks whether everybody has left."""


class Listener(uvicorn.Server):
    """uvicorn's server; signals are the daemon's own business."""

    def __init__(self, config: TransportConfig) -> None:
        super().__init__(config)
        self.server_state: Presence = Presence()
        self.servers: list[asyncio.Server] = []
        self.listening = asyncio.Event()
        self._ending = asyncio.Event()

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Listen until the end; cancelled, drop everybody at once with what they have under way."""
        try:
            await super().serve(sockets)
        finally:
            await self._drop()

    def end(self) -> None:
        """Close what is open and let serve() return."""
        self.should_exit = True
        self._ending.set()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and say so; uvicorn's own would leave TLS asyncio's bounds, 60 s to open and 30 s to close.

        Raises AddressError for a port that somebody else listens on by now.
        """
        config = cast(TransportConfig, self.config)
        limits: dict[str, Any] = {}
        if config.certificate is not None:
            limits["ssl"] = config.certificate.context
            limits["ssl_handshake_timeout"] = config.open_timeout_s
            limits["ssl_shutdown_timeout"] = config.send_timeout_s
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        limits["start_serving"] = False  # whoever is cancelled meanwhile must know what is to be closed
        for listener in sockets or ():
            server = await loop.create_server(self._protocol, sock=listener, backlog=config.backlog, **limits)
            self.servers.append(server)
            with named(listener):
                await server.start_serving()
        self.started = True
        self.listening.set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:  # noqa: ARG002  # as in uvicorn
        """Accept no more, and let everybody take what is left, for a while; `serve` drops those who do not.

        For uvicorn's own they would be an error.
        """
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110  # neither tells
                    await asyncio.sleep(LOOK_S)

    async def _drop(self) -> None:
        """Leave nothing on the event loop. A socket that is closed while the loop watches it lets a later one hang."""
        self.server_state.over = True
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            connection.transport.abort()
        while self.server_state.connections:  # noqa: ASYNC110  # asyncio tells them in its next round
            await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        return Turnstile(HttpProtocol(self.config, self.server_state, self.lifespan.state))

    async def main_loop(self) -> None:
        """Keep the Date header current until the end (uvicorn's own loop wakes up ten times a second)."""
        while not self.should_exit:
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield
