"""The sockets a server listens on: bound here or inherited, with limits that accepted connections take over."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

from streamer.config import ConfigError, ServerConfig

BUFFER_BYTES = 131_072
"""Kernel buffers of one connection, each way: 4 s of 16 kHz audio in, and what a client may leave unread."""


class AddressError(Exception):
    """An address that cannot be had, for now: the message says which and why."""


def open_sockets(config: ServerConfig, inherited: Sequence[socket.socket], *, guarded: bool) -> list[socket.socket]:
    """Return the listening sockets: the inherited ones if there are any, else new ones on the configured host.

    `guarded` tells whether speaking needs a token.

    Raises ConfigError for a host that may not be used, AddressError if it cannot be bound.
    """
    return take_or_bind(config, inherited, lambda address: require_protection(address, config, guarded=guarded))


def open_tokenless_sockets(
    protocol: str, config: ServerConfig, port: int, inherited: Sequence[socket.socket] = ()
) -> list[socket.socket]:
    """Return listening sockets, likewise, for a protocol that has no place for a token.

    Raises ConfigError for a host that may not be used, AddressError if it cannot be bound.
    """

    def check(address: str) -> None:
        if not (config.insecure or is_loopback(address)):
            raise ConfigError(
                f"{address} can be reached by other machines, and {protocol} knows no token: "
                "allow anyone with server.insecure, or leave it out"
            )

    return take_or_bind(replace(config, port=port), inherited, check)


def take_or_bind(
    config: ServerConfig, inherited: Sequence[socket.socket], check: Callable[[str], None]
) -> list[socket.socket]:
    """Return the inherited sockets if there are any, else new ones; `check` raises for an address that may not be."""
    if inherited:
        for listener in inherited:
            if listener.family in {socket.AF_INET, socket.AF_INET6}:
                check(str(listener.getsockname()[0]))
            prepare(listener, config)
        return list(inherited)
    addresses = resolve(config)
    for _, address in addresses:
        check(address)
    return bind(addresses, config)


def resolve(config: ServerConfig) -> list[tuple[socket.AddressFamily, str]]:
    """Return the addresses of the configured host. Raises ConfigError if there are none."""
    try:
        found = socket.getaddrinfo(config.host or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"server.host must be an address or a name of this machine, got {config.host!r}: {error}"
        ) from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def require_protection(address: str, config: ServerConfig, *, guarded: bool) -> None:
    """Raise ConfigError for an address that others can reach while nothing keeps them out."""
    if is_loopback(address) or guarded or config.insecure:
        return
    raise ConfigError(
        f"{address} can be reached by other machines: set server.token or server.token_file, "
        "or allow anyone with server.insecure"
    )


def is_loopback(address: str) -> bool:
    """Whether an address, perhaps with its zone, is this machine's alone."""
    return ip_address(address.partition("%")[0]).is_loopback


def bind(addresses: Sequence[tuple[socket.AddressFamily, str]], config: ServerConfig) -> list[socket.socket]:
    """Return a socket for every address, all on one port. Raises AddressError."""
    sockets: list[socket.socket] = []
    port = config.port
    try:
        for family, address in addresses:
            try:
                listener = socket.socket(family, socket.SOCK_STREAM)
                sockets.append(listener)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((address, port))
            except OSError as error:
                raise taken(address, port, error) from None
            port = listener.getsockname()[1]
            prepare(listener, config)
    except BaseException:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def prepare(listener: socket.socket, config: ServerConfig) -> None:
    """Set what accepted connections inherit (Linux: buffers, TCP_NODELAY and TCP_USER_TIMEOUT)."""
    listener.setblocking(False)  # noqa: FBT003  # its only argument
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    if listener.family == socket.AF_UNIX:
        return
    # Else the end of an answer waits until its beginning is acknowledged, 40 ms on a kept connection. asyncio sets it
    # only where a socket was made with its protocol's number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A peer that acknowledges nothing for this long is dead: pings and what is left in buffers then do not wait for
        # ever. Twice the time that a send may take, so that a slow client is cut off by us, who can say why.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * config.send_timeout_s * 1000))


@contextmanager
def named(listener: socket.socket) -> Generator[None]:
    """Have a socket listen inside, and raise AddressError if it may not.

    Two sockets with SO_REUSEADDR can be bound to one port as long as neither listens: the second hears of it here.
    """
    try:
        yield
    except OSError as error:
        if listener.family == socket.AF_UNIX:
            raise
        address, port, *_ = listener.getsockname()
        raise taken(address, port, error) from None


def taken(address: str, port: int, error: OSError) -> AddressError:
    """Return what to raise about an address and port that cannot be had."""
    return AddressError(f"cannot listen on {address} port {port}: {error.strerror}")


def exposed(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the addresses that other machines can reach."""
    return [address for address in addresses_of(sockets) if not is_loopback(address)]


def port_of(sockets: Sequence[socket.socket]) -> int:
    """Return the TCP port of the sockets; 0 for Unix sockets."""
    return next((s.getsockname()[1] for s in sockets if s.family != socket.AF_UNIX), 0)


def addresses_of(sockets: Sequence[socket.socket]) -> list[str]:
    """Return the addresses of TCP sockets, without their zones."""
    names = [s.getsockname()[0] for s in sockets if s.family != socket.AF_UNIX]
    return [str(name).partition("%")[0] for name in names]
