"""The protocols that have a TCP port of their own; their ports are open before the model is loaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streamer.config import Config, LineConfig, WyomingConfig
from streamer.connection.entrance import Entrance
from streamer.network.announcement import Announcement
from streamer.network.doors import LINE, TITLES, WYOMING, Doors
from streamer.network.line_port import LinePort
from streamer.network.listening import addresses_of, port_of
from streamer.network.tcp_listener import TcpListener
from streamer.network.tcp_wire import TcpWire
from streamer.network.wyoming_port import WyomingPort
from streamer.protocols.handshake import House

logger = logging.getLogger(__name__)


class Ports:
    """All of them that the settings or the service manager ask for; there may be none."""

    def __init__(self, config: Config, house: House, doors: Doors | None = None) -> None:
        """Bind. `house` is what can be said of the model before it is loaded; `doors` are closed if binding fails.

        Raises ConfigError for settings that cannot be, AddressError for an address that cannot be had.
        """
        self.doors = doors or Doors(config, {})
        """What they and the main port are opened by."""
        self._send_timeout_s = config.server.send_timeout_s
        self._listeners: list[TcpListener] = []
        self._announcement: Announcement | None = None
        self._ending = asyncio.Event()
        self._wyoming = WyomingPort(config, house)
        self._line = LinePort(config.line)
        try:
            self.wyoming = self._listen(WYOMING, config.wyoming, self._wyoming.serve)
            """Wyoming's port; 0 if it is not served."""
            self.line = self._listen(LINE, config.line, self._line.serve)
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
        for listener in self._listeners:
            listener.failed = entrance.metrics.connections_failed.inc

    def end(self) -> None:
        """Accept no more, and let go of those who have no session."""
        self._ending.set()
        for listener in self._listeners:
            listener.end()
        self._wyoming.end()

    def close(self) -> None:
        """Let go of the sockets, the main port's too, once nothing runs (any more)."""
        self.doors.close()

    def _listen(
        self, name: str, config: WyomingConfig | LineConfig, serve: Callable[[TcpWire], Awaitable[None]]
    ) -> int:
        """Open a protocol's port if it is wanted, and return it."""
        doors = self.doors.beside(name, config)
        if not doors:
            return 0
        self._listeners.append(TcpListener(doors, serve, self.doors.guests, send_timeout_s=self._send_timeout_s))
        where = " and ".join(addresses_of(doors)) or "a Unix socket"
        logger.info("%s is served on %s port %d", TITLES[name], where, port_of(doors))
        return port_of(doors)
