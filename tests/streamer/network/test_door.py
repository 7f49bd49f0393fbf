from __future__ import annotations

import asyncio
import resource
import socket
from dataclasses import replace

import pytest

from streamer.config import Config, ServerConfig, WatchConfig
from streamer.network.door import RESERVED, Bounds, Door, Guests, bounds, descriptors_for, origin_of, raise_descriptors
from tests.certificates import issue
from tests.streamer.harness import LOCAL, connected, get, running, until


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::ffff:127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
    ],
)
def test_an_origin_is_an_ipv4_address_or_a_64_of_ipv6_and_this_machine_is_none(address, origin):
    assert origin_of(address) == origin


def test_one_address_cannot_take_the_room_of_all():
    reasons = []
    guests = Guests(Bounds(total=5, per_address=2), reasons.append)

    assert [guests.admit(n, "192.0.2.7") for n in range(3)] == [True, True, False]
    assert guests.admit(3, "198.51.100.1")
    guests.leave(0)
    assert guests.admit(4, "192.0.2.7")
    assert (len(guests), reasons) == (3, ["address"])


def test_this_machine_is_bounded_by_the_total_only():
    guests = Guests(Bounds(total=3, per_address=1, opening_per_address=1))

    assert [guests.admit(n, "127.0.0.1") for n in range(4)] == [True, True, True, False]


def test_who_has_asked_for_something_is_no_handshake_any_more():
    reasons = []
    guests = Guests(Bounds(total=9, per_address=9, opening_per_address=2), reasons.append)

    assert [guests.admit(n, "192.0.2.7") for n in range(3)] == [True, True, False]
    guests.opened(0)
    guests.opened(0)
    assert guests.admit(3, "192.0.2.7")
    assert not guests.admit(4, "192.0.2.7")
    assert reasons == ["handshakes", "handshakes"]


def test_what_is_counted_is_forgotten_with_the_last_of_it():
    guests = Guests(Bounds(total=9, per_address=9))
    for number in range(4):
        guests.admit(number, f"192.0.2.{number % 2}")
    for number in (0, 1, 2, 3, 3, -1):
        guests.leave(number)

    assert (len(guests), guests._by_origin, guests._opening_by_origin) == (0, {}, {})


def test_a_flood_of_refusals_is_one_line(caplog):
    guests = Guests(Bounds(total=0))
    for number in range(1000):
        guests.admit(number, "192.0.2.7")

    assert [(r.message, r.address) for r in caplog.records] == [("connections are dropped: too many", "192.0.2.7")]


def test_a_socket_is_counted_until_it_is_closed():
    guests = Guests(Bounds(total=1))
    with Door(socket.create_server(("127.0.0.1", 0)), guests) as door:
        first, second = (socket.create_connection(door.getsockname()) for _ in range(2))
        guest, _ = door.accept()
        with pytest.raises(ConnectionAbortedError):
            door.accept()
        second.settimeout(5)
        assert (len(guests), second.recv(1)) == (1, b"")
        guest.close()
        guest.close()
        assert len(guests) == 0
        first.close()
        second.close()


async def test_a_stream_is_no_handshake_any_more_and_leaves_nothing_behind(monkeypatch):
    async with running(LOCAL) as server:
        async with connected(server) as _:
            await until(lambda: len(server.guests) == 1 and not server.guests._opening)
        await get(server, "/healthz")
        await until(lambda: not server.guests)


async def test_half_open_tls_handshakes_are_counted_as_such(tmp_path):
    import trustme

    papers = issue(tmp_path, trustme.CA())
    settings = replace(LOCAL, tls_certificate=papers.certificate, tls_key=papers.key, open_timeout_s=0.2)
    async with running(settings) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: len(server.guests._opening) == 1)
        assert await reader.read() == b""
        writer.close()
        await until(lambda: not server.guests)


def test_descriptors_are_kept_for_the_rest_of_the_process(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))

    assert (descriptors_for(100), descriptors_for(5000)) == (100, 1024 - RESERVED)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    assert descriptors_for(5000) == 50, "where there are few, half"


def test_where_open_files_have_no_limit_all_fit_and_none_is_set(monkeypatch, caplog):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))

    raise_descriptors(Config(server=ServerConfig(max_connections=9000)))
    assert (descriptors_for(9000), limits, caplog.records) == (9000, [], [])


def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(monkeypatch, caplog):
    limits = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), list(new)))

    raise_descriptors(Config(server=ServerConfig(max_connections=1000)))
    assert (limits, caplog.records) == ([1000 + RESERVED, 4096], [])
    raise_descriptors(Config(server=ServerConfig(max_connections=9000)))
    assert (limits, [r.message for r in caplog.records]) == (
        [4096, 4096],
        ["3840 connections fit the limit of open files, of 9000 that were asked for"],
    )


def test_there_is_room_for_sessions_and_viewers_without_being_told(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, 100_000))
    config = Config(server=ServerConfig(max_sessions=10), watch=WatchConfig(max_viewers=300))

    assert bounds(config).total == 2 * 10 + 300 + 64
