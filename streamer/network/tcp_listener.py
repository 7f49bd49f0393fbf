"""Plain TCP: listening sockets, and a task for each connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from streamer.network.door import Door, Guests
from streamer.network.flow import READ_BYTES, drop
from streamer.network.listening import named
from streamer.network.tcp_wire import TcpWire

logger = logging.getLogger(__name__)


class TcpListener:
    """Accepts connections and has each of them served."""

    def __init__(
        self,
        sockets: Sequence[Door],
        serve: Callable[[TcpWire], Awaitable[None]],
        guests: Guests,
        *,
        send_timeout_s: float,
    ) -> None:
        """`serve` has a connection as long as it wants; `guests` are who is connected."""
        self.sockets = sockets
        self.failed: Callable[[], None] = lambda: None
        """Hears of each connection that ended with an error of ours."""
        self._serve = serve
        self._guests = guests
        self._send_timeout_s = send_timeout_s
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Accept connections until `end`, then wait for those that are open.

        Raises AddressError, in an ExceptionGroup, for a port that somebody else listens on by now.
        """
        async with asyncio.TaskGroup() as group:
            accept = partial(self._accept, group)
            servers: list[asyncio.Server] = []
            try:
                for each in self.sockets:
                    servers.append(await asyncio.start_server(accept, sock=each, limit=READ_BYTES, start_serving=False))
                    with named(each):
                        await servers[-1].start_serving()
                await self._ending.wait()
            finally:
                self._ending.set()
                for server in servers:
                    server.close()

    def end(self) -> None:
        """Accept no more."""
        self._ending.set()

    def _accept(self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ending.is_set():
            drop(writer.transport)
            return
        connection = writer.get_extra_info("socket")
        wire = TcpWire(reader, writer, self._send_timeout_s, lambda: self._guests.opened(connection.fileno()))
        group.create_task(self._run(wire))

    async def _run(self, wire: TcpWire) -> None:
        """Serve one connection to its end."""
        try:
            await self._contain(self._serve(wire))
        finally:
            await self._contain(wire.part())

    async def _contain(self, work: Awaitable[None]) -> None:
        """Do something for one connection; whatever goes wrong is its own, for all the others are in the same group."""
        try:
            await work
        except Exception:
            logger.exception("connection failed")
            self.failed()
