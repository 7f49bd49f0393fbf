"""The protocols that have a TCP port of their own; their ports are open before the model is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from streamer.announcement import Announcement
from streamer.config import Config, LineConfig, WyomingConfig
from streamer.entrance import Entrance
from streamer.line_port import LinePort
from streamer.listening import addresses_of, open_tokenless_sockets, port_of
from streamer.protocols.handshake import House
from streamer.tcp_listener import TcpListener
from streamer.tcp_wire import TcpWire
from streamer.wyoming_port import WyomingPort


class Ports:
    """All of them that the settings ask for; there may be none."""

    def __init__(self, config: Config, house: House) -> None:
        """Bind. `house` is what can be said of the model before it is loaded.

        Raises ConfigError for settings that cannot be, AddressError for an address that cannot be had.
        """
        self._server = config.server
        self._listeners: list[TcpListener] = []
        self._announcement: Announcement | None = None
        self._ending = asyncio.Event()
        self._wyoming = WyomingPort(config, house)
        self._line = LinePort(config.line)
        try:
            self.wyoming = self._listen("Wyoming", config.wyoming, self._wyoming.serve)
            """Wyoming's port; 0 if it is not served."""
            self.line = self._listen("the line protocol", config.line, self._line.serve)
            """The line protocol's, likewise."""
            if config.wyoming.zeroconf:
                addresses = addresses_of(self._listeners[0].sockets)
                self._announcement = Announcement(config.wyoming.name, addresses, self.wyoming)
        except BaseException:
            self.close()
            raise

    async def run(self) -> None:
        """Serve until the end, and those who are still there to theirs."""
        async with asyncio.TaskGroup() as group:
            for listener in self._listeners:
                group.create_task(listener.run())
            if self._announcement is not None:
                group.create_task(self._announcement.run(self._ending))

    def open(self, house: House, entrance: Entrance) -> None:
        """Take sessions from now on: the model is loaded."""
        self._line.open(entrance)
        self._wyoming.open(house, entrance)

    def end(self) -> None:
        """Accept no more, and let go of those who have no session."""
        self._ending.set()
        for listener in self._listeners:
            listener.end()
        self._wyoming.end()

    def close(self) -> None:
        """Let go of the sockets, once nothing runs (any more)."""
        for listener in self._listeners:
            listener.close()

    def _listen(
        self, protocol: str, config: WyomingConfig | LineConfig, serve: Callable[[TcpWire], Awaitable[None]]
    ) -> int:
        """Bind a protocol's port if it is wanted, and return it."""
        if not config.enabled:
            return 0
        sockets = open_tokenless_sockets(protocol, self._server, config.port)
        listener = TcpListener(
            sockets,
            serve,
            max_connections=2 * self._server.max_sessions + 64,
            send_timeout_s=self._server.send_timeout_s,
        )
        self._listeners.append(listener)
        return port_of(sockets)
