"""The protocols that have a TCP port of their own; their ports are open before the model is loaded."""

from __future__ import annotations

import asyncio

from streamer.announcement import Announcement
from streamer.config import Config, ConfigError
from streamer.entrance import Entrance
from streamer.listening import addresses_of, open_tokenless_sockets, port_of
from streamer.protocols.handshake import House
from streamer.tcp_listener import TcpListener
from streamer.wyoming_port import WyomingPort


class Ports:
    """All of them that the settings ask for; there may be none."""

    def __init__(self, config: Config, house: House) -> None:
        """Bind. `house` is what can be said of the model before it is loaded.

        Raises ConfigError for settings that cannot be, AddressError for an address that cannot be had.
        """
        self._listeners: list[TcpListener] = []
        self._announcement: Announcement | None = None
        self._ending = asyncio.Event()
        self._wyoming = WyomingPort(config, house)
        self.wyoming = 0
        """Wyoming's port; 0 if it is not served."""
        if config.wyoming.enabled:
            sockets = open_tokenless_sockets("Wyoming", config.server, config.wyoming.port)
            self.wyoming = port_of(sockets)
            listener = TcpListener(
                sockets,
                self._wyoming.serve,
                max_connections=2 * config.server.max_sessions + 64,
                send_timeout_s=config.server.send_timeout_s,
            )
            self._listeners.append(listener)
            if config.wyoming.zeroconf:
                try:
                    self._announcement = Announcement(config.wyoming.name, addresses_of(sockets), self.wyoming)
                except ConfigError:
                    for each in sockets:
                        each.close()
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
        self._wyoming.open(house, entrance)

    def end(self) -> None:
        """Accept no more, and let go of those who have no session."""
        self._ending.set()
        for listener in self._listeners:
            listener.end()
        self._wyoming.end()
