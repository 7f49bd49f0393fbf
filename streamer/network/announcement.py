"""Wyoming announced on the local network, where Home Assistant looks for it: DNS service discovery over multicast DNS.

Source: RFC 6762, RFC 6763; the service type is the one that Home Assistant's integration listens for. The package is
optional, so it is imported where it is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address

from streamer.config import ConfigError

logger = logging.getLogger(__name__)

SERVICE = "_wyoming._tcp.local."


class Announcement:
    """One service on one port."""

    def __init__(self, name: str, addresses: Sequence[str], port: int) -> None:
        """Take the addresses that are listened on; the one that stands for all stands for those of every interface.

        Raises ConfigError if the package zeroconf is not installed, or if nobody else can reach any of the addresses.
        """
        if find_spec("zeroconf") is None:
            raise ConfigError("wyoming.zeroconf needs the package zeroconf: pip install 'whisper-streamer[zeroconf]'")
        self._name = name
        self._addresses = list(reachable(addresses))
        self._port = port
        if not self._addresses:
            listened = ", ".join(addresses)
            raise ConfigError(f"wyoming.zeroconf announces addresses that others can reach, and {listened} is none")

    async def run(self, ending: asyncio.Event) -> None:
        """Announce until the end, then take it back. A network that cannot be told costs nothing else."""
        try:
            await self._run(ending)
        except Exception:
            logger.exception("Wyoming cannot be announced")

    async def _run(self, ending: asyncio.Event) -> None:
        asynchronous = import_module("zeroconf.asyncio")
        responder = asynchronous.AsyncZeroconf(interfaces=[a for a in self._addresses if ip_address(a).version == 4])
        try:
            service = asynchronous.AsyncServiceInfo(
                SERVICE, f"{self._name}.{SERVICE}", parsed_addresses=self._addresses, port=self._port
            )
            await (await responder.async_register_service(service, allow_name_change=True))
            logger.info("announced as %s on %s port %d", service.name, ", ".join(self._addresses), self._port)
            await ending.wait()
            await (await responder.async_unregister_service(service))
        finally:
            await responder.async_close()


def reachable(addresses: Sequence[str]) -> list[str]:
    """Return the addresses that other machines may know this one by, for those that are listened on."""
    found: list[str] = []
    for address in addresses:
        found += own_addresses(ip_address(address).version) if ip_address(address).is_unspecified else [address]
    return list(dict.fromkeys(a for a in found if not (ip_address(a).is_loopback or ip_address(a).is_link_local)))


def own_addresses(version: int) -> list[str]:
    """Return the addresses of all interfaces."""
    adapters = import_module("ifaddr").get_adapters()
    addresses = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in adapters for ip in adapter.ips]
    return [str(address) for address in addresses if ip_address(address).version == version]
