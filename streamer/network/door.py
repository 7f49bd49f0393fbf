"""Who may come in at all: bounds on connections, kept where they are accepted, before anything is spent on them.

A connection is a file descriptor, and a process that has none left cannot even refuse: asyncio then logs a traceback a
second for each listening socket. So the door closes well before, and one address cannot take the room of all.
"""

from __future__ import annotations

import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from streamer.config import Config

logger = logging.getLogger(__name__)

RESERVED = 256
"""Descriptors that are not for connections: the model, the journal, recordings on their way, child processes."""
QUIET_S = 60.0
"""Between two lines in the log about connections that were dropped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be."""

    total: int
    per_address: int = 0
    """From one address that is not this machine's; 0 sets no bound."""
    opening_per_address: int = 0
    """The same of those that have not asked for anything yet; 0 sets no bound."""


class Guests:
    """Those who are inside, by their descriptor."""

    def __init__(self, bounds: Bounds, refused: Callable[[str], None] = lambda _: None) -> None:
        """`refused` hears the reason of each that is not let in."""
        self._bounds = bounds
        self.refused = refused
        self._origins: dict[int, str] = {}
        self._by_origin: Counter[str] = Counter()
        self._opening: dict[int, str] = {}
        self._opening_by_origin: Counter[str] = Counter()
        self._dropped = 0
        self._quiet_until = 0.0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._origins)

    def admit(self, descriptor: int, address: str) -> bool:
        """Let one in, or say that there is no room for it."""
        origin = origin_of(address)
        reason = self._objection(origin)
        if reason:
            self.refused(reason)
            self._complain(reason, origin)
            return False
        self._origins[descriptor] = self._opening[descriptor] = origin
        self._by_origin[origin] += 1
        self._opening_by_origin[origin] += 1
        return True

    def opened(self, descriptor: int) -> None:
        """Note that one has asked for something."""
        take(self._opening, self._opening_by_origin, descriptor)

    def leave(self, descriptor: int) -> None:
        """Forget one."""
        self.opened(descriptor)
        take(self._origins, self._by_origin, descriptor)

    def _objection(self, origin: str) -> str:
        bounds = self._bounds
        if len(self._origins) >= bounds.total:
            return "connections"
        if not origin:
            return ""
        if bounds.per_address and self._by_origin[origin] >= bounds.per_address:
            return "address"
        if bounds.opening_per_address and self._opening_by_origin[origin] >= bounds.opening_per_address:
            return "handshakes"
        return ""

    def _complain(self, reason: str, origin: str) -> None:
        self._dropped += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_S
            fields = {"reason": reason, "address": origin or "local", "dropped": self._dropped}
            logger.warning("connections are dropped: too many", extra=fields)
            self._dropped = 0


def take(held: dict[int, str], counts: Counter[str], descriptor: int) -> None:
    """Remove a descriptor and what it counts, if it is there."""
    origin = held.pop(descriptor, None)
    if origin is not None:
        counts[origin] -= 1
        if not counts[origin]:
            del counts[origin]


def origin_of(address: str) -> str:
    """Return what is counted as one: an IPv4 address, a /64 of IPv6; empty for this machine, where proxies are too."""
    if not address:
        return ""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return ""
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


class Door(socket.socket):
    """A listening socket, in place of another, that lets in as many as may be."""

    def __init__(self, listener: socket.socket, guests: Guests) -> None:
        """Take over `listener`."""
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self.setblocking(False)  # noqa: FBT003  # its only argument
        self._guests = guests

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next; raises ConnectionAbortedError for one that is dropped, so that others have their turn."""
        connection, address = super().accept()
        guest = Guest(connection, self._guests)
        if not self._guests.admit(guest.fileno(), address[0] if isinstance(address, tuple) else ""):
            guest.close()
            raise ConnectionAbortedError
        return guest, address


class Guest(socket.socket):
    """An accepted socket, counted until it is closed."""

    def __init__(self, connection: socket.socket, guests: Guests) -> None:
        """Take over `connection`."""
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._guests = guests

    def close(self) -> None:
        """Leave."""
        self._guests.leave(self.fileno())
        super().close()


def bounds(config: Config) -> Bounds:
    """Return the bounds that the settings and the limit of open files set."""
    server = config.server
    return Bounds(
        descriptors_for(wanted_connections(config)),
        server.max_connections_per_address,
        server.max_handshakes_per_address,
    )


def wanted_connections(config: Config) -> int:
    """Return how many connections the settings ask for: beside sessions and viewers, those on their way in or out."""
    return config.server.max_connections or 2 * config.server.max_sessions + config.watch.max_viewers + 64


def descriptors_for(connections: int) -> int:
    """Return for how many of `connections` there are descriptors, the rest of the process considered."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - min(RESERVED, soft // 2)))


def raise_descriptors(config: Config) -> None:
    """Ask for as many descriptors as the settings take, as far as the system's hard limit allows."""
    connections = wanted_connections(config)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED if hard == resource.RLIM_INFINITY else min(connections + RESERVED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if (room := descriptors_for(connections)) < connections:
        logger.warning("%d connections fit the limit of open files, of %d that were asked for", room, connections)
