"""Sockets that the service manager hands over, by their names."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from streamer.commands.outcome import Exit, expected
from streamer.config import Config, ConfigError, LineConfig, ServerConfig, WyomingConfig
from streamer.network import doors
from streamer.network.doors import LINE, WYOMING, Doors
from streamer.network.listening import AddressError, bind, open_sockets
from streamer.network.ports import Ports
from streamer.server import Server
from tests.fakes import LevelRecognizer, LevelVad
from tests.streamer.harness import LOCAL, get, running
from tests.streamer.protocols.stage import HOUSE
from tests.streamer.wyoming_client import DESCRIBE, connect


async def test_each_socket_is_served_by_its_name_though_the_settings_enable_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["streamer.socket", WYOMING, LINE, "another.socket"]
    given = {name: [socket.create_server(("127.0.0.1", 0))] for name in names}
    ports = {name: sockets[0].getsockname()[1] for name, sockets in given.items()}
    monkeypatch.setattr(doors, "inherited_sockets", lambda _: given)
    async with running() as server, connect(ports[WYOMING]) as client:
        client.send(DESCRIBE)
        heard = await client.hear("info")
        status, _ = await get(server, "/healthz")

        assert (server.ports.wyoming, server.ports.line, server.port) == tuple(
            ports[n] for n in (WYOMING, LINE, names[0])
        )
        assert [door.getsockname()[1] for door in server._sockets] == [ports[names[0]], ports[names[3]]]

    assert ([event.type for event in heard], status) == (["info"], 200)


def test_an_inherited_socket_beyond_loopback_needs_the_insecure_flag_where_there_is_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = socket.create_server(("0.0.0.0", 0))
    monkeypatch.setattr(doors, "inherited_sockets", lambda _: {WYOMING: [mine]})
    config = Config(server=ServerConfig(port=0, token="secret"))
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached .* Wyoming knows no token"):
        Ports(config, HOUSE, Doors(config, {}))

    assert mine.fileno() == -1, "it is closed"


def test_a_language_that_the_model_does_not_know_is_refused_where_the_line_protocol_has_an_inherited_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(doors, "inherited_sockets", lambda _: {LINE: [mine]})
    config = Config(server=LOCAL, line=LineConfig(language="xx"))
    ports = Ports(config, HOUSE, Doors(config, {}))
    with pytest.raises(ConfigError, match=r"line\.language must be one of .*, got 'xx'"):
        Server(config, LevelRecognizer(), {}, lambda _: LevelVad(), ports=ports)
    ports.close()


def test_a_port_that_may_not_be_opened_at_all_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(server=LOCAL, wyoming=WyomingConfig(enabled=True))

    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))  # RestrictAddressFamilies=AF_UNIX

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(AddressError, match=r"127\.0\.0\.1 port 10300: Address family not supported"):
        Ports(config, HOUSE)


def test_what_is_written_is_sent_at_once_and_waits_for_no_acknowledgement() -> None:
    given = socket.create_server(("127.0.0.1", 0))
    for inherited in ([], [given]):
        [listener] = open_sockets(LOCAL, inherited, guarded=False)
        with listener, socket.socket() as client:
            listener.listen()
            listener.setblocking(True)
            client.connect(listener.getsockname())
            with listener.accept()[0] as accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_port_beside_that_another_listens_on_by_now_is_an_error_that_names_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        config = Config(server=LOCAL, wyoming=WyomingConfig(enabled=True, port=port))
        ports = Ports(config, HOUSE)
        other.listen()
        with pytest.raises(ExceptionGroup) as raised:
            await ports.run()
        ports.close()

    assert expected(raised.value) == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use",
        Exit.UNAVAILABLE,
    )


def test_all_interfaces_of_both_families_are_listened_on_at_one_port() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    opened = bind([(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")], ServerConfig(port=0))
    for each in opened:
        each.listen()
    ports = {each.getsockname()[1] for each in opened}
    for each in opened:
        each.close()

    assert len(ports) == 1
