"""All doors of one daemon: its listening sockets, bound here or inherited, and one count of who came through them."""

from __future__ import annotations

import socket
from collections.abc import MutableMapping

from streamer.config import Config, LineConfig, WyomingConfig
from streamer.network.door import Door, Guests, bounds
from streamer.network.listening import open_sockets, open_tokenless_sockets
from streamer.service import inherited_sockets

WYOMING, LINE = "wyoming", "line"
"""What the service manager calls the sockets of protocols with a port of their own; by any other name one is HTTP's."""
TITLES = {WYOMING: "Wyoming", LINE: "the line protocol"}


class Doors:
    """Owns every listening socket until it is served. What is inherited is served, whether the settings ask or not."""

    def __init__(self, config: Config, environment: MutableMapping[str, str]) -> None:
        """Take over the sockets of `environment`, the service manager's variables; bind nothing yet.

        Raises OSError for an inherited descriptor that is no socket.
        """
        self._config = config
        self._inherited = inherited_sockets(environment)
        self._open: list[Door] = []
        self.guests = Guests(bounds(config))
        """Who is connected, through whichever door."""

    def http(self, *, guarded: bool) -> list[Door]:
        """Open the main port; `guarded` tells whether speaking needs a token.

        Raises ConfigError for an address that may not be used, AddressError for one that cannot be had.
        """
        names = [name for name in self._inherited if name not in TITLES]
        inherited = [each for name in names for each in self._inherited[name]]
        return self._hang(open_sockets(self._config.server, inherited, guarded=guarded))

    def beside(self, name: str, config: WyomingConfig | LineConfig) -> list[Door]:
        """Open the port of a protocol that knows no token: none, if it is neither enabled nor inherited.

        Raises as `http` does.
        """
        if not self.serves(name, config):
            return []
        inherited = self._inherited.get(name, [])
        return self._hang(open_tokenless_sockets(TITLES[name], self._config.server, config.port, inherited))

    def serves(self, name: str, config: WyomingConfig | LineConfig) -> bool:
        """Say whether a protocol with a port of its own is served: it is enabled, or its socket is inherited."""
        return config.enabled or name in self._inherited

    def close(self) -> None:
        """Close what is open still, and what was inherited and never served."""
        for each in [*self._open, *(each for sockets in self._inherited.values() for each in sockets)]:
            each.close()

    def _hang(self, listeners: list[socket.socket]) -> list[Door]:
        """Put a door before each socket."""
        doors = [Door(listener, self.guests) for listener in listeners]
        self._open += doors
        return doors
