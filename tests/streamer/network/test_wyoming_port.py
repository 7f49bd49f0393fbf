"""Wyoming over real sockets: who is answered when, what it costs the others, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from model.types import Recognizer
from streamer.config import Config, ConfigError, ServerConfig, WyomingConfig
from streamer.daemon import load_and_serve
from streamer.network import door
from streamer.network.listening import AddressError
from streamer.network.ports import Ports
from streamer.network.tcp_wire import TcpWire
from streamer.network.wyoming_port import WyomingPort
from streamer.protocols.handshake import House
from streamer.protocols.wyoming_events import WyomingEvent, write
from streamer.recognition.loading import on_thread
from streamer.server import Server
from tests.fakes import speak
from tests.streamer.harness import RippleRecognizer, connected, metric, running, sentence, until
from tests.streamer.protocols.stage import HOUSE
from tests.streamer.wyoming_client import DESCRIBE, START, STOP, chunk, connect

WYOMING = WyomingConfig(enabled=True, port=0)
CONFIG = Config(wyoming=WYOMING)
LOCAL = ServerConfig(port=0)


@asynccontextmanager
async def served(settings: ServerConfig = LOCAL, recognizer: Recognizer | None = None) -> AsyncIterator[Server]:
    async with running(settings, recognizer=recognizer or RippleRecognizer(), config=CONFIG) as server:
        yield server


async def test_it_is_not_served_unless_it_is_asked_for() -> None:
    async with running() as server:
        assert server.ports.wyoming == 0


async def test_several_turns_of_several_clients_are_told_to_those_who_spoke_them() -> None:
    async def speaker(port: int, first: int) -> list[str]:
        async with connect(port) as client:
            return [await client.transcript(speak([first, n]), speak([n + 1])) for n in range(3)]

    async with served() as server:
        told = await asyncio.gather(*(speaker(server.ports.wyoming, 10 * n) for n in range(4)))

    assert told == [[f"w{10 * n} w{m} w{m + 1}" for m in range(3)] for n in range(4)]


async def test_a_question_takes_no_session() -> None:
    async with served() as server, connect(server.ports.wyoming) as client:
        client.send(DESCRIBE)
        heard = await client.hear("info")

        assert [event.type for event in heard] == ["info"]
        assert await metric(server, "streamer_sessions_opened_total") == 0


async def test_a_question_and_a_turn_in_one_write_are_both_answered() -> None:
    async with served() as server, connect(server.ports.wyoming) as client:
        client.send(DESCRIBE, START, chunk(sentence(1, 2)), STOP)
        heard = await client.hear("transcript-stop")

    assert heard[0].type == "info"
    assert heard[-2].data["text"] == "w1 w2"


async def test_a_full_server_says_so_to_those_who_speak_and_answers_those_who_ask() -> None:
    async with served(ServerConfig(port=0, max_sessions=1)) as server, connected(server) as other:
        await other.send('{"type": "start"}')
        await other.recv()
        async with connect(server.ports.wyoming) as client:
            client.send(DESCRIBE)
            assert [event.type for event in await client.hear("info")] == ["info"]
            client.send(START)
            heard = await client.hear()
        refused = await metric(server, 'streamer_refusals_total{reason="busy"}')

    assert [(event.type, event.data["code"]) for event in heard] == [("error", "busy")]
    assert refused == 1


GARBAGE = {
    "no JSON": (b"GET / HTTP/1.1\r\n\r\n", "bad_message"),
    "a line without an end": (b"{" * 100_000, "message_too_big"),
    "a length below zero": (b'{"type":"x","payload_length":-5}\n', "bad_message"),
    "too long": (b'{"type":"x","payload_length":2000000000}\n', "message_too_big"),
}


@pytest.mark.parametrize("spoken", [False, True], ids=["at first", "in a turn"])
@pytest.mark.parametrize("what", GARBAGE)
async def test_what_is_no_event_is_an_error_and_a_close_and_costs_nobody_else_anything(what: str, spoken: bool) -> None:
    data, code = GARBAGE[what]
    async with served() as server, connect(server.ports.wyoming) as good, connect(server.ports.wyoming) as bad:
        good.send(START, chunk(speak([1, 2])))
        if spoken:
            bad.send(START, chunk(sentence(3)))
        bad.writer.write(data)
        heard = await bad.hear()
        good.send(chunk(speak([3])), STOP)
        told = await good.hear("transcript-stop")
        counted = "streamer_errors_total{code=" if spoken else "streamer_refusals_total{reason="

        assert await metric(server, f'{counted}"{code}"}}') == 1

    assert (heard[-1].type, heard[-1].data["code"]) == ("error", code)
    assert told[-2].data["text"] == "w1 w2 w3"


async def test_an_error_is_heard_by_a_client_that_goes_on_sending() -> None:
    async with served() as server, connect(server.ports.wyoming) as client:
        client.writer.write(b"x" * 4_000_000)
        heard = await client.hear()

    assert [event.data["code"] for event in heard] == ["message_too_big"]


@pytest.mark.parametrize("begun", [b"", b'{"type"', write(DESCRIBE)])
async def test_a_client_that_never_speaks_is_let_go(begun: bytes) -> None:
    async with served(ServerConfig(port=0, open_timeout_s=0.1)) as server, connect(server.ports.wyoming) as client:
        client.writer.write(begun)
        heard = await client.hear()

    assert heard[-1].data["code"] == "open_timeout"


async def test_a_client_that_falls_silent_between_two_turns_is_let_go() -> None:
    async with served(ServerConfig(port=0, idle_timeout_s=0.1)) as server, connect(server.ports.wyoming) as client:
        said = await client.transcript(speak([1]))
        heard = await client.hear()

    assert said == "w1"
    assert [event.data["code"] for event in heard] == ["idle_timeout"]


@pytest.mark.usefixtures("kernel_is_patient")
@pytest.mark.parametrize("spoken", [False, True], ids=["asking", "in a session"])
async def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served(spoken: bool) -> None:
    settings = ServerConfig(port=0, send_timeout_s=0.2)
    async with served(settings) as server, connect(server.ports.wyoming) as good, connect(server.ports.wyoming) as bad:
        if spoken:
            bad.send(START)

        async def ask() -> None:
            with suppress(OSError):
                while True:
                    bad.send(*[DESCRIBE] * 100)
                    await bad.writer.drain()

        async with asyncio.timeout(30):
            async with asyncio.TaskGroup() as group:
                group.create_task(ask())
                assert await good.transcript(speak([1, 2])) == "w1 w2"
        if spoken:
            await until(lambda: server.admission.count == 1)
            assert await metric(server, 'streamer_errors_total{code="slow_client"}') == 1


async def test_a_client_that_sends_no_more_still_hears_its_transcript() -> None:
    async with served() as server, connect(server.ports.wyoming) as client:
        client.send(START, chunk(speak([1, 2])))
        client.writer.write_eof()
        heard = await client.hear()

    assert [event.type for event in heard[-2:]] == ["transcript", "transcript-stop"]
    assert heard[-2].data["text"] == "w1 w2"


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    async with served() as server:
        async with connect(server.ports.wyoming) as client:
            client.send(START, chunk(speak(range(1, 7))))
            await client.hear("transcript-chunk")
            client.writer.transport.abort()
        await until(lambda: server.admission.count == 0)
        async with connect(server.ports.wyoming) as client:
            assert await client.transcript(speak([3])) == "w3"


async def test_a_connection_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: WyomingPort, _wire: TcpWire) -> None:
        raise LookupError

    monkeypatch.setattr(WyomingPort, "_admit", fail)
    async with served() as server, connect(server.ports.wyoming) as client:
        client.send(START)
        assert await client.hear() == []
        assert await metric(server, "streamer_connections_failed_total") == 1


async def test_a_server_that_goes_away_tells_what_it_has_heard() -> None:
    async with served() as server, connect(server.ports.wyoming) as asking, connect(server.ports.wyoming) as client:
        asking.send(DESCRIBE)
        await asking.hear("info")
        client.send(START, chunk(speak(range(1, 7))))
        await client.hear("transcript-chunk")
        server.stop()
        heard = await client.hear()

        assert await asking.hear() == []

    assert [event.type for event in heard[-2:]] == ["transcript", "transcript-stop"]
    assert heard[-2].data["text"] == "w1 w2 w3 w4 w5 w6"


async def test_an_end_in_the_very_turn_in_which_a_client_s_time_is_over_is_no_error() -> None:
    async with served() as server, connect(server.ports.wyoming) as asking:
        asking.send(DESCRIBE)
        await asking.hear("info")
        for _ in range(3):
            server.ports.end()
            await asyncio.sleep(0)

        assert await asking.hear() == []


async def test_more_connections_than_may_be_are_dropped_through_whichever_port_they_come() -> None:
    async with served(ServerConfig(port=0, max_connections=3)) as server, connect(server.ports.wyoming) as first:
        first.send(DESCRIBE)
        await first.hear("info")
        async with connect(server.ports.wyoming) as _, connected(server):
            for port in (server.ports.wyoming, server.port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.transport.abort()
            first.send(DESCRIBE)
            assert [event.type for event in await first.hear("info")] == ["info"]
        await until(lambda: len(server.guests) == 1)
        refused = await metric(server, 'streamer_refusals_total{reason="connections"}')

    assert refused == 2


async def test_one_address_is_bounded_and_who_has_asked_for_nothing_yet_more_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "origin_of", lambda _: "192.0.2.7")
    reasons: list[str] = []
    settings = ServerConfig(port=0, max_handshakes_per_address=1, max_connections_per_address=2)
    async with served(settings) as server:
        server.guests.refused = reasons.append
        async with connect(server.ports.wyoming) as asking:
            await drop(server.ports.wyoming)
            asking.send(DESCRIBE)
            await asking.hear("info")
            async with connect(server.ports.wyoming) as speaking:
                assert await speaking.transcript(speak([1])) == "w1"
                await drop(server.ports.wyoming)

    assert reasons == ["handshakes", "address"]


async def drop(port: int) -> None:
    """Connect in vain."""
    async with connect(port) as client:
        with suppress(ConnectionError):
            assert await client.hear() == []


@dataclass
class SlowModel:
    """Takes its time to be loaded."""

    loaded: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None

    def load(self) -> Recognizer:
        """Wait, then be there or not."""
        self.loaded.wait()
        if self.failure:
            raise self.failure
        return RippleRecognizer()


async def test_questions_are_answered_while_the_model_is_loaded_and_speech_is_not(unused_tcp_port: int) -> None:
    model = SlowModel()
    config = Config(server=LOCAL, wyoming=WyomingConfig(enabled=True, port=unused_tcp_port))
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            load_and_serve(
                config, House("tiny", ("en", "fr")), partial(on_thread, model.load), on_ready=lambda _: ready.set()
            )
        )
        try:
            heard = await ask_early(unused_tcp_port)
        finally:
            model.loaded.set()
        await ready.wait()
        async with connect(unused_tcp_port) as client:
            client.send(DESCRIBE)
            (later,) = await client.hear("info")
        running.cancel()

    assert heard[0].data["asr"][0]["models"][0]["languages"] == ["en", "fr"]
    assert [(event.type, event.data["code"]) for event in heard[1:]] == [("error", "not_ready")]
    assert later.data["asr"][0]["models"][0]["name"] == RippleRecognizer().card.name


async def ask_early(port: int) -> list[WyomingEvent]:
    """Ask and speak as soon as anybody listens."""
    while True:
        with suppress(ConnectionError):
            async with connect(port) as client:
                client.send(DESCRIBE, START)
                return await client.hear()
        await asyncio.sleep(0)


async def test_a_model_that_cannot_be_loaded_ends_the_daemon_as_it_says() -> None:
    model = SlowModel(failure=LookupError("no such model"))
    model.loaded.set()
    with pytest.raises(LookupError, match="no such model"):
        await load_and_serve(Config(server=LOCAL, wyoming=WYOMING), HOUSE, partial(on_thread, model.load))


@pytest.mark.parametrize("settings", [{"token": "secret"}, {}])
def test_beyond_loopback_it_needs_the_insecure_flag_whatever_the_token_is(settings: dict[str, Any]) -> None:
    config = Config(server=ServerConfig(host="0.0.0.0", port=0, **settings), wyoming=WYOMING)
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached .* Wyoming knows no token.* server\.insecure"):
        Ports(config, HOUSE)


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with served() as server:
        taken = WyomingConfig(enabled=True, port=server.ports.wyoming)
        with pytest.raises(AddressError, match=f"port {server.ports.wyoming}"):
            Ports(Config(wyoming=taken), HOUSE)
