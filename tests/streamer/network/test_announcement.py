"""Wyoming on the local network: what is announced, found, and taken back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamer.config import Config, ConfigError, ServerConfig, WyomingConfig
from streamer.network import announcement
from streamer.network.announcement import SERVICE, Announcement, own_addresses, reachable
from streamer.network.ports import Ports
from tests.streamer.protocols.stage import HOUSE

zeroconf = pytest.importorskip("zeroconf.asyncio", reason="pip install -e '.[test]' installs zeroconf")
NAME = f"a test.{SERVICE}"


async def seen(browser: Any) -> list[str] | None:
    """Ask the network once; return the addresses, None if nobody answers."""
    found = zeroconf.AsyncServiceInfo(SERVICE, NAME)
    answered = await found.async_request(browser.zeroconf, 2_000)
    return [f"{address}:{found.port}" for address in found.parsed_addresses()] if answered else None


async def test_what_is_announced_is_found_until_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcement, "reachable", list)  # this machine alone has to hear it here
    ending = asyncio.Event()
    browser = zeroconf.AsyncZeroconf(interfaces=["127.0.0.1"])
    gone = asyncio.Event()
    listener = zeroconf.AsyncServiceBrowser(
        browser.zeroconf,
        SERVICE,
        handlers=[lambda state_change, **_: gone.set() if state_change.name == "Removed" else None],
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(Announcement("a test", ["127.0.0.1"], 10_300).run(ending))
        while (found := await seen(browser)) is None:
            pass
        ending.set()
        await gone.wait()
    await listener.async_cancel()
    await browser.async_close()

    assert found == ["127.0.0.1:10300"]


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcement, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'whisper-streamer\[zeroconf\]'"):
        Announcement("a test", ["192.0.2.1"], 1)


def test_what_nobody_else_can_reach_is_not_announced() -> None:
    config = Config(server=ServerConfig(port=0), wyoming=WyomingConfig(enabled=True, port=0, zeroconf=True))
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1 is none"):
        Ports(config, HOUSE)


def test_what_is_not_served_is_not_announced() -> None:
    with pytest.raises(ConfigError, match=r"wyoming\.enabled"):
        WyomingConfig(zeroconf=True)


def test_an_address_for_all_interfaces_stands_for_each_of_them() -> None:
    assert "127.0.0.1" in own_addresses(4)
    assert set(reachable(["0.0.0.0"])) == {a for a in own_addresses(4) if not a.startswith(("127.", "169.254."))}
    assert reachable(["192.0.2.1", "127.0.0.1", "192.0.2.1"]) == ["192.0.2.1"]
