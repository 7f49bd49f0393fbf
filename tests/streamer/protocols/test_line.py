"""Samples in, lines out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import Samples, Word
from streamer.config import Config, ConfigError, LineConfig, ServerConfig
from streamer.core import events
from streamer.core.commands import Audio, Configure, Stop
from streamer.network import door
from streamer.network.ports import Ports
from streamer.protocols.line import LineCodec
from streamer.server import Server
from tests.fakes import speak
from tests.streamer.harness import RippleRecognizer, metric, running, s16, sentence, until
from tests.streamer.protocols.stage import HOUSE

ENABLED = Config(line=LineConfig(enabled=True, port=0))


def commit(utterance: int, text: str, start: int, end: int) -> events.Commit:
    return events.Commit(1, utterance, text, start, end, (Word(text, start, end, 0.9),))


def test_lines_have_milliseconds_that_never_go_back_and_texts_that_add_up() -> None:
    codec = LineCodec(None)
    told = [
        commit(2, "one", 1_600, 3_200),
        commit(2, " two\nthree", 3_000, 4_808),
        commit(3, "four", 4_000, 4_100),
    ]
    lines = [bytes(line) for event in told for line in codec.encode(event)]

    assert lines == [b"100 200 one\n", b"200 300  two three\n", b"300 300  four\n"]


@given(st.lists(st.binary(min_size=1, max_size=99), max_size=9))
def test_any_bytes_are_samples_however_they_are_cut(pieces: list[bytes]) -> None:
    def heard(pieces: list[bytes]) -> list[float]:
        codec = LineCodec("en")
        commands = [command for piece in pieces for command in codec.decode(piece)]
        return [float(x) for command in commands if isinstance(command, Audio) for x in command.samples]

    assert heard(pieces) == heard([b"".join(pieces)] if pieces else [])


def test_the_language_is_the_daemons_choice_and_the_end_of_bytes_is_the_end() -> None:
    codec = LineCodec("de")

    assert codec.opening() == Configure(language="de", partials=False)
    assert list(codec.decode(b"")) == [Stop()]


async def test_who_is_connected_speaks_and_is_no_handshake_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "origin_of", lambda _: "192.0.2.7")
    async with running(ServerConfig(port=0, max_handshakes_per_address=1), config=ENABLED) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.ports.line)
        await until(lambda: server.metrics.registry.get_sample_value("streamer_sessions") == 1)
        assert len(await lines_of(server, speak([1]))) == 1
        writer.close()


async def lines_of(server: Server, audio: Samples) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.line)
    with suppress(ConnectionError):
        writer.write(s16(audio))
        writer.write_eof()
    try:
        return (await reader.read()).decode().splitlines()
    finally:
        writer.close()


async def test_a_stream_is_told_to_its_last_word() -> None:
    speech = np.concatenate([sentence(1, 2), speak([3])])
    async with running(recognizer=RippleRecognizer(), config=ENABLED) as server:
        lines = await lines_of(server, speech)

    times = [int(time) for line in lines for time in line.split(" ", 2)[:2]]
    assert "".join(line.split(" ", 2)[2] for line in lines) == "w1 w2 w3"
    assert times == sorted(times)
    assert times[0] == pytest.approx(100, abs=20)


async def test_a_full_server_closes_without_a_word() -> None:
    async with running(ServerConfig(port=0, max_sessions=1), config=ENABLED) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.ports.line)
        writer.write(s16(speak([1])))
        while await metric(server, "streamer_sessions") < 1:
            pass
        lines = await lines_of(server, speak([1]))
        refused = await metric(server, 'streamer_refusals_total{reason="busy"}')
        writer.close()

    assert (lines, refused) == ([], 1)


async def test_a_language_that_the_model_does_not_know_is_refused_at_the_start() -> None:
    config = Config(line=LineConfig(enabled=True, port=0, language="xx"))
    with pytest.raises(ConfigError, match=r"line\.language must be one of .*, got 'xx'"):
        async with running(config=config):
            pass


def test_beyond_loopback_it_needs_the_insecure_flag() -> None:
    config = Config(server=ServerConfig(host="0.0.0.0", port=0, token="secret"), line=ENABLED.line)
    with pytest.raises(ConfigError, match="the line protocol knows no token"):
        Ports(config, HOUSE)
