from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import threading
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples
from streamer.commands.outcome import Exit, expected
from streamer.config import Config, ConfigError, Durability, JournalConfig, ServerConfig, SessionConfig, WyomingConfig
from streamer.connection.reader import MOST_UNTOLD
from streamer.core.audio import ALAW, MULAW
from streamer.daemon import serve
from streamer.network.listening import AddressError, open_sockets
from streamer.recognition.governor import Governor
from streamer.server import Server
from tests.fakes import LevelRecognizer, LevelVad, silence, speak
from tests.streamer.harness import (
    LOCAL,
    GatedRecognizer,
    Heard,
    RippleRecognizer,
    connected,
    converse,
    get,
    listen,
    metric,
    push,
    request,
    running,
    s16,
    sentence,
    transcribe,
    until,
    until_heard,
)

SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
SAID = ["w1 w2 w3", "w4 w5"]
TOKEN = "a-token-that-nobody-guesses"
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


def g711(audio: Samples, table: Samples) -> bytes:
    """Encode by the nearest level of a table."""
    return np.abs(table[None, :] - audio[:, None]).argmin(axis=1).astype(np.uint8).tobytes()


def at_rate(rate: int) -> Samples:
    """The speech as another device would have recorded it."""
    return soxr.resample(SPEECH, SAMPLE_RATE, rate).astype(np.float32)


async def test_a_stream_is_transcribed_and_closed_with_1000() -> None:
    async with running() as server:
        heard = await transcribe(server, s16(SPEECH), 3200)

    assert heard.kinds[0] == "ready"
    assert heard.finals == SAID
    assert [commit["id"] for commit in heard.of("commit")] == list(range(1, len(heard.of("commit")) + 1))
    assert heard.messages[-1] == {
        "type": "done",
        "audio": len(SPEECH) / SAMPLE_RATE,
        "commits": len(heard.of("commit")),
    }
    assert heard.code == 1000


async def test_finals_are_the_concatenation_of_their_commits() -> None:
    async with running() as server:
        heard = await transcribe(server, s16(SPEECH), 1000)

    for final in heard.of("final"):
        texts = [commit["text"] for commit in heard.of("commit") if commit["utterance"] == final["utterance"]]
        assert "".join(texts) == final["text"]


@pytest.mark.parametrize("chunk", [33, 320, 3201, 64_000])
async def test_the_cut_of_the_network_changes_no_word(chunk: int) -> None:
    async with running() as server:
        whole = await transcribe(server, s16(SPEECH))
        cut = await transcribe(server, s16(SPEECH), chunk)

    assert cut.finals == whole.finals == SAID
    assert cut.words == whole.words


@pytest.mark.parametrize(
    ("start", "audio"),
    [
        ({"encoding": "pcm_f32le"}, SPEECH.astype("<f4").tobytes()),
        ({"encoding": "mulaw"}, g711(SPEECH, MULAW)),
        ({"encoding": "alaw"}, g711(SPEECH, ALAW)),
        ({"channels": 2}, s16(np.repeat(SPEECH, 2))),
        ({"sample_rate": 8000}, s16(at_rate(8000))),
        ({"sample_rate": 44_100}, s16(at_rate(44_100))),
        ({"sample_rate": 48_000, "channels": 2, "encoding": "pcm_f32le"}, np.repeat(at_rate(48_000), 2).tobytes()),
    ],
    ids=lambda value: ",".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_every_encoding_and_rate_gives_the_same_words_at_the_same_times(
    start: dict[str, Any], audio: bytes
) -> None:
    async with running(recognizer=RippleRecognizer()) as server:
        expected = await transcribe(server, s16(SPEECH), 3200)
        heard = await transcribe(server, audio, 3200, **start)

    assert heard.finals == expected.finals == SAID
    for got, wanted in zip(heard.words, expected.words, strict=True):
        assert got[0] == wanted[0]
        assert got[1:] == pytest.approx(wanted[1:], abs=0.01)


async def test_flushed_comes_after_the_finals_of_what_was_before_it() -> None:
    audio = s16(sentence(1, 2)[: -SAMPLE_RATE * 9 // 10])
    flush = {"type": "flush", "id": "a"}
    async with running() as server:
        heard = await converse(server, [{"type": "start"}, audio, flush, audio, {"type": "stop"}])

    kinds = [kind for kind in heard.kinds if kind in {"final", "flushed", "done"}]
    assert kinds == ["final", "flushed", "final", "done"]
    assert heard.finals == ["w1 w2", "w1 w2"]
    assert heard.of("flushed") == [{"type": "flushed", "id": "a"}]


async def test_partials_and_words_can_be_declined() -> None:
    async with running() as server:
        heard = await transcribe(server, s16(SPEECH), 3200, partials=False, words=False)

    assert heard.finals == SAID
    assert not heard.of("partial")
    assert all("words" not in commit for commit in heard.of("commit"))


async def test_lag_is_told_in_seconds() -> None:
    async with running() as server:
        heard = await transcribe(server, s16(SPEECH))

    lags = [message["lag"] for message in heard.messages if "lag" in message]
    assert lags
    assert all(0 <= lag <= len(SPEECH) / SAMPLE_RATE for lag in lags)


async def test_clients_at_the_same_time_hear_their_own_words_and_are_batched() -> None:
    recognizer = LevelRecognizer()
    speech = [np.concatenate([sentence(n, n + 1), sentence(n + 2)]) for n in range(12)]
    async with running(recognizer=recognizer) as server:
        heard = await asyncio.gather(*(transcribe(server, s16(audio), 1600) for audio in speech))
        await until(lambda: len(recognizer.forgotten) == 13)  # the warm-up is forgotten too

    assert [h.finals for h in heard] == [[f"w{n} w{n + 1}", f"w{n + 2}"] for n in range(12)]
    assert max(recognizer.batches) > 1
    assert len(set(recognizer.forgotten)) == 13


async def test_a_client_faster_than_the_recognizer_is_held_back_and_loses_nothing(gated: GatedRecognizer) -> None:
    config = Config(session=SessionConfig(max_backlog_ms=35_000))
    speech = np.concatenate([sentence(n % 8) for n in range(60)])
    async with running(recognizer=gated, config=config) as server, asyncio.TaskGroup() as group:
        talk = group.create_task(transcribe(server, s16(speech), 64_000))
        await until(lambda: server.metrics.stalls._value.get() == 1)
        held = server.metrics.audio._value.get()
        gated.gate.set()
        heard = await talk

    assert held < 37
    assert heard.finals == [f"w{n % 8}" for n in range(60)]
    assert heard.messages[-1]["audio"] == len(speech) / SAMPLE_RATE


async def test_a_server_that_stops_lets_streams_finish_and_closes_with_1012() -> None:
    async with running() as server, connected(server) as socket:
        await socket.send('{"type":"start"}')
        await socket.send(s16(sentence(1, 2, 3)[: SAMPLE_RATE * 11 // 10]))
        await until(lambda: server.metrics.audio._value.get() >= 1.1)
        server.stop()
        heard = await listen(socket)

    assert heard.finals == ["w1 w2 w3"]
    assert heard.messages[-1]["type"] == "done"
    assert heard.messages[-1]["audio"] == 1.1
    assert heard.code == 1012


async def test_a_server_that_stops_closes_clients_that_have_not_begun() -> None:
    async with running() as server, connected(server) as socket:
        await until(lambda: server.admission.count == 1)
        server.stop()
        heard = await listen(socket)

    assert [message["code"] for message in heard.messages] == ["shutting_down"]
    assert heard.code == 1012


async def test_a_server_that_stops_is_not_ready_and_takes_no_streams(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated) as server, connected(server) as socket:
        await socket.send('{"type":"start"}')
        await socket.send(s16(sentence(1)))
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        await until(lambda: server.admission.draining)
        status, body = await get(server, "/readyz")
        alive, _ = await get(server, "/healthz")
        refused = await transcribe(server, b"")
        gated.gate.set()
        heard = await listen(socket)

    assert (status, json.loads(body)["status"], alive) == (503, "draining", 200)
    assert (refused.messages[0]["code"], refused.code) == ("shutting_down", 1012)
    assert (heard.finals, heard.code) == (["w1"], 1012)


@pytest.mark.parametrize("again", [True, False], ids=["second stop", "drain timeout"])
async def test_a_stream_that_cannot_finish_is_cut_off(gated: GatedRecognizer, again: bool) -> None:
    settings = replace(LOCAL, drain_timeout_s=3600 if again else 0.05)
    async with running(settings, gated) as server, connected(server) as socket:
        await socket.send('{"type":"start"}')
        await socket.send(s16(sentence(1)))
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        if again:
            await until(lambda: server.admission.draining)
            server.stop()
        heard = await listen(socket)

    assert (heard.messages[-1]["type"], heard.messages[-1]["code"], heard.code) == ("error", "shutting_down", 1012)


async def test_sigterm_ends_the_daemon_after_its_streams() -> None:
    before = signal.getsignal(signal.SIGTERM)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(serve(Config(server=LOCAL), LevelRecognizer(), on_ready=port.set_result))
        async with connect(f"ws://127.0.0.1:{await port}/v1/stream", proxy=None) as socket:
            await socket.send('{"type":"start"}')
            await until_heard(socket, "ready")
            os.kill(os.getpid(), signal.SIGTERM)
            heard = await listen(socket)
        await daemon

    assert (heard.kinds, heard.code) == (["done"], 1012)
    assert signal.getsignal(signal.SIGTERM) == before


async def test_a_daemon_that_is_cancelled_leaves_nothing_behind_for_those_after_it(
    gated: GatedRecognizer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its descriptors are used again: a loop that still watches them under their old names does not watch the new."""
    others = asyncio.all_tasks()
    async with asyncio.TaskGroup() as group:
        bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        daemon = group.create_task(serve(Config(server=LOCAL), gated, on_ready=bound.set_result))
        async with connect(f"ws://127.0.0.1:{await bound}/v1/stream", proxy=None) as speaking:
            await speaking.send('{"type": "start"}')
            await until_heard(speaking, "ready")
            await push(speaking, [s16(SPEECH)])
            await until_heard(speaking, "speech_started")
            daemon.cancel()
            gated.gate.set()
            heard = await listen(speaking)
        await asyncio.wait([daemon])
        assert not asyncio.all_tasks() - others - {asyncio.current_task()}

    assert daemon.cancelled()
    assert heard.code == 1006
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    for _ in range(3):
        async with running() as server:
            assert (await transcribe(server, s16(SPEECH), 3200)).finals == SAID


async def test_a_daemon_that_is_cancelled_while_its_model_warms_up_lets_its_ports_go() -> None:
    config = Config(server=LOCAL, wyoming=WyomingConfig(enabled=True, port=0))

    class Slow(LevelRecognizer):
        begun = threading.Event()
        gate = threading.Event()

        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            self.begun.set()
            self.gate.wait()
            return super().transcribe(batch)

    server = Server(config, recognizer := Slow(), {})
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(server.run())
        await asyncio.to_thread(recognizer.begun.wait)
        daemon.cancel()
        recognizer.gate.set()
    sockets = [*server._sockets, *(each for listener in server.ports._listeners for each in listener.sockets)]
    assert [each.fileno() for each in sockets] == [-1, -1], "closed"


async def test_the_session_limit_refuses_with_1013_and_frees_its_place() -> None:
    async with running(replace(LOCAL, max_sessions=1)) as server:
        async with connected(server) as socket:
            await socket.send('{"type":"start"}')
            await until_heard(socket, "ready")
            refused = await transcribe(server, s16(SPEECH))
        await until(lambda: server.admission.count == 0)
        served = await transcribe(server, s16(SPEECH))

        assert await metric(server, 'streamer_refusals_total{reason="busy"}') == 1

    assert (refused.messages[0]["code"], refused.code) == ("busy", 1013)
    assert "all 1 sessions are taken" in refused.messages[0]["message"]
    assert served.finals == SAID


async def test_a_stream_for_which_there_is_no_time_is_refused_with_1013(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as server, connected(server) as socket:
        await socket.send('{"type":"start"}')
        await until_heard(socket, "ready")
        monkeypatch.setattr(Governor, "has_room_for", lambda *_: False)
        refused = await transcribe(server, s16(SPEECH))
        await push(socket, [s16(SPEECH), {"type": "stop"}])
        accepted = await listen(socket)

        assert await metric(server, 'streamer_refusals_total{reason="overloaded"}') == 1

    assert (refused.messages[0]["code"], refused.code) == ("overloaded", 1013)
    assert (accepted.finals, accepted.code) == (SAID, 1000), "who is in stays in"


async def test_metrics_tell_the_interval_the_load_and_who_waits(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated) as server, connected(server) as socket:
        await push(socket, [{"type": "start"}, s16(SPEECH)])
        await until_heard(socket, "speech_started")
        lanes = {lane: f'streamer_requests_waiting{{lane="{lane}"}}' for lane in ("fast", "slow")}
        waiting = {lane: await metric(server, name) for lane, name in lanes.items()}
        interval = await metric(server, "streamer_update_interval_seconds")
        gated.gate.set()

    assert interval == Config().session.update_interval_ms / 1000
    assert waiting["fast"] in {0, 1}
    assert waiting["slow"] == 0


async def test_streams_are_refused_while_recognition_does_not_work() -> None:
    class Broken(LevelRecognizer):
        broken = False

        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            if not self.broken:
                return super().transcribe(batch)
            raise RuntimeError("the device is gone")

    recognizer = Broken()
    async with running(recognizer=recognizer) as server:
        recognizer.broken = True
        failing = await transcribe(server, s16(np.concatenate([sentence(n) for n in range(4)])))
        await until(lambda: not server.engine.ready)
        assert not server.recognition.alive(), "a new process would mend it"
        status, _ = await get(server, "/readyz")
        refused = await transcribe(server, s16(SPEECH))

    assert failing.of("gap")
    assert all("device" not in gap["reason"] for gap in failing.of("gap"))
    assert failing.code == 1000
    assert status == 503
    assert (refused.messages[0]["code"], refused.code) == ("not_ready", 1013)


async def test_recognition_that_works_again_is_noticed_without_anybody_being_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamer.recognition.recovery.RETRY_S", 0.001)

    class Ailing(LevelRecognizer):
        ill = False

        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            if self.ill:
                raise RuntimeError("out of memory")
            return super().transcribe(batch)

    recognizer = Ailing()
    async with running(recognizer=recognizer) as server:
        recognizer.ill = True
        await transcribe(server, s16(np.concatenate([sentence(1), sentence(2)])))
        await until(lambda: not server.engine.ready)
        assert (await get(server, "/readyz"))[0] == 503
        recognizer.ill = False
        await until(lambda: server.engine.ready)

        assert (await get(server, "/readyz"))[0] == 200


async def test_a_client_that_floods_flushes_without_reading_is_read_no_further() -> None:
    names = [f"{number:0120d}" for number in range(20_000)]
    async with running() as server, connected(server, ping_interval=None) as socket, asyncio.TaskGroup() as group:
        await push(socket, [{"type": "start"}])
        await until_heard(socket, "ready")
        (connection,) = server.admission._connections
        session = connection._session
        assert session is not None
        group.create_task(push(socket, [{"type": "flush", "id": name} for name in names]))
        await until(lambda: session.untold >= MOST_UNTOLD)
        for _ in range(500):
            await asyncio.sleep(0)
            assert session.untold <= MOST_UNTOLD

        assert [(await until_heard(socket, "flushed"))["id"] for _ in names] == names


async def test_what_the_resampler_holds_back_is_heard_when_a_client_vanishes() -> None:
    audio = soxr.resample(np.concatenate([silence(1600), speak([7])]), 16_000, 8_000)
    recognizer = RippleRecognizer()
    async with running(recognizer=recognizer) as server:
        async with connected(server) as socket:
            await push(socket, [{"type": "start", "sample_rate": 8000}, s16(audio)])
            await until_heard(socket, "speech_started")
        await until(lambda: any(request.final for request in recognizer.requests[1:]))

    assert recognizer.requests[-1].end == 2 * len(audio)


async def test_a_model_that_cannot_decode_is_never_ready() -> None:
    class Broken(LevelRecognizer):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            raise RuntimeError("no kernel")

    with pytest.raises(Exception, match="no kernel"):
        await serve(Config(server=LOCAL), Broken())


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        ({}, 401),
        ({"additional_headers": {"Authorization": "Bearer wrong"}}, 401),
        ({"additional_headers": {"Authorization": TOKEN}}, 401),
        ({"subprotocols": ["streamer.v1", "bearer.wrong"]}, 401),
        ({"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}, 101),
        ({"additional_headers": {"Authorization": f"bearer {TOKEN}"}}, 101),
        ({"subprotocols": ["streamer.v1", f"bearer.{TOKEN}"]}, 101),
    ],
)
async def test_a_token_opens_the_door(offer: dict[str, Any], status: int) -> None:
    subprotocol = "streamer.v1" if "subprotocols" in offer and status == 101 else None
    async with running(replace(LOCAL, token=TOKEN)) as server:
        try:
            async with connected(server, **offer) as socket:
                answer = 101, socket.subprotocol
        except InvalidStatus as error:
            answer = error.response.status_code, None

    assert answer == (status, subprotocol)


async def test_a_token_in_the_url_is_not_accepted() -> None:
    async with running(replace(LOCAL, token=TOKEN)) as server:
        with pytest.raises(InvalidStatus, match="401"):
            await connect(f"ws://127.0.0.1:{server.port}/v1/stream?token={TOKEN}", proxy=None)

        assert await metric(server, 'streamer_refusals_total{reason="token"}') == 1


@pytest.mark.parametrize(
    ("origin", "host", "token", "accepted"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}", "", True),
        ("http://localhost:{port}", "localhost:{port}", "", True),
        ("http://evil.example", "127.0.0.1:{port}", "", False),
        ("http://evil.example:{port}", "evil.example:{port}", "", False),  # DNS rebinding
        ("http://localhost.evil.example:{port}", "localhost.evil.example:{port}", "", False),
        ("http://127.0.0.1:1", "127.0.0.1:{port}", "", False),
        ("null", "127.0.0.1:{port}", "", False),
        ("http://[", "127.0.0.1:{port}", "", False),
        ("https://captions.example", "captions.example", TOKEN, True),
        ("https://evil.example", "captions.example", TOKEN, False),
    ],
)
async def test_only_pages_of_this_host_may_open_streams(origin: str, host: str, token: str, accepted: bool) -> None:
    async with running(replace(LOCAL, token=token)) as server:
        lines = [
            "GET /v1/stream HTTP/1.1",
            f"Host: {host.format(port=server.port)}",
            f"Origin: {origin.format(port=server.port)}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            *([f"Authorization: Bearer {token}"] if token else []),
        ]
        answer = await request(server, "\r\n".join([*lines, "", ""]).encode(), until=b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 101" if accepted else b"HTTP/1.1 403")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_beyond_loopback_a_token_or_consent_is_required(host: str) -> None:
    settings = ServerConfig(host=host, port=0)
    with pytest.raises(ConfigError, match="can be reached by other machines"):
        open_sockets(settings, [], guarded=False)

    for sockets in (
        open_sockets(settings, [], guarded=True),
        open_sockets(replace(settings, insecure=True), [], guarded=False),
    ):
        for socket in sockets:
            socket.close()


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_a_port_that_others_reach_without_tls_is_warned_of(
    host: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(replace(LOCAL, host=host, token=TOKEN)) as server:
        expected = f"tokens, speech and text can be read on the network: {host} port {server.port} speaks without TLS"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert [message.partition(";")[0] for message in warnings] == ([expected] if warned else [])
    assert all("server.tls_certificate and server.tls_key" in message for message in warnings)


def test_an_inherited_socket_is_used_as_it_is() -> None:
    [mine] = open_sockets(LOCAL, [], guarded=False)
    with mine:
        assert open_sockets(replace(LOCAL, host="192.0.2.1"), [mine], guarded=False) == [mine]


def test_an_inherited_socket_beyond_loopback_needs_a_token_too() -> None:
    [mine] = open_sockets(ServerConfig(host="0.0.0.0", port=0), [], guarded=True)
    with mine, pytest.raises(ConfigError, match="can be reached"):
        open_sockets(LOCAL, [mine], guarded=False)


def test_a_port_that_is_taken_is_named() -> None:
    [mine] = open_sockets(LOCAL, [], guarded=False)
    with mine:
        mine.listen()
        port = mine.getsockname()[1]
        with pytest.raises(AddressError, match=f"127.0.0.1 port {port}: Address already in use"):
            open_sockets(replace(LOCAL, port=port), [], guarded=False)


async def test_a_port_that_another_listens_on_by_now_is_named_too() -> None:
    [bound] = open_sockets(LOCAL, [], guarded=False)
    port = bound.getsockname()[1]
    late = Server(
        Config(server=replace(LOCAL, port=port)), LevelRecognizer(), {}, lambda _: LevelVad()
    )  # with SO_REUSEADDR both can be bound as long as neither listens
    with bound:
        bound.listen()
        with pytest.raises(ExceptionGroup) as raised:
            await late.run()

    assert expected(raised.value) == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use",
        Exit.UNAVAILABLE,
    )


@pytest.mark.parametrize(
    ("content", "token", "words"),
    [(None, "", "cannot be read"), ("\n", "", "is empty"), ("x", "y", "are both set")],
)
def test_a_token_file_must_hold_a_token(tmp_path: Path, content: str | None, token: str, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=words):
        Server(Config(server=replace(LOCAL, token=token, token_file=path)), LevelRecognizer(), {})


def test_languages_that_the_model_does_not_have_keep_a_server_from_starting() -> None:
    with pytest.raises(ConfigError, match=r"session\.languages must be some of de, en, got 'xx'"):
        Server(Config(server=LOCAL, session=SessionConfig(languages=("en", "xx"))), LevelRecognizer(), {})


async def test_a_token_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    async with (
        running(replace(LOCAL, token_file=path)) as server,
        connected(server, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket,
    ):
        await socket.send('{"type":"start"}')
        assert (await until_heard(socket, "ready"))["model"] == "levels"


async def test_health_and_metrics_are_told_over_http() -> None:
    async with running() as server:
        assert await get(server, "/healthz") == (200, '{"status":"ok"}')
        assert (await get(server, "/readyz"))[0] == 200
        assert (await get(server, "/nothing"))[0] == 404
        await transcribe(server, s16(SPEECH), 3200)

        assert await metric(server, "streamer_sessions") == 0
        assert await metric(server, "streamer_sessions_opened_total") == 1
        assert await metric(server, "streamer_audio_seconds_total") == pytest.approx(len(SPEECH) / SAMPLE_RATE)
        assert await metric(server, "streamer_finals_total") == 2
        assert await metric(server, "streamer_words_total") == 5
        assert await metric(server, "streamer_ready") == 1
        assert await metric(server, 'streamer_batch_size_bucket{le="1.0"}') > 1
        assert await metric(server, "streamer_commit_lag_seconds_count") >= 2


@pytest.mark.parametrize(
    ("file", "durability", "told"),
    [("", "normal", []), ("journal", "memory", []), ("journal", "normal", ["streamer_journal_durable 1.0"])],
)
async def test_only_a_journal_that_is_for_the_disk_tells_whether_it_is_there(
    tmp_path: Path, file: str, durability: str, told: list[str]
) -> None:
    config = JournalConfig(path=tmp_path / file if file else None, durability=Durability(durability))
    async with running(config=Config(journal=config)) as server:
        _, body = await get(server, "/metrics")

    assert [line for line in body.splitlines() if line.startswith("streamer_journal_durable")] == told


async def test_two_servers_in_one_process_count_for_themselves() -> None:
    async with running() as one, running() as other:
        await transcribe(one, s16(SPEECH))

        assert await metric(one, "streamer_finals_total") == 2
        assert await metric(other, "streamer_finals_total") == 0


async def test_the_client_printed_in_the_documentation_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [source] = re.findall(r"```python\n(.*?)```", PROTOCOL.read_text(), re.DOTALL)
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(s16(SPEECH))
    async with running() as server:
        program, _, call = source.replace("127.0.0.1:8765", f"127.0.0.1:{server.port}").rpartition("asyncio.run(")
        assert call == "main(sys.argv[1]))\n"
        names: dict[str, Any] = {}
        exec(program, names)
        monkeypatch.setattr(sys, "argv", ["client", str(tmp_path / "speech.wav")])
        await names["main"](sys.argv[1])

    printed = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [int(line[0]) for line in printed] == list(range(1, len(printed) + 1))
    assert " ".join(line[2].strip() for line in printed) == " ".join(SAID)


def test_every_message_and_code_is_documented() -> None:
    from streamer.core.commands import ErrorCode
    from streamer.protocols import messages

    text = PROTOCOL.read_text()
    sides = (messages.ClientMessage, messages.ServerMessage)
    kinds = [struct.__struct_config__.tag for side in sides for struct in side.__subclasses__()]
    unsaid = {ErrorCode.MESSAGE_TOO_BIG, ErrorCode.SLOW_CLIENT}  # only counted

    assert len(kinds) == 16
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []
    assert [code for code in ErrorCode if code not in unsaid and f"`{code}`" not in text] == []


async def test_a_detector_is_made_for_each_stream() -> None:
    made: list[int] = []

    def make(aggressiveness: int) -> LevelVad:
        made.append(aggressiveness)
        return LevelVad()

    server = Server(Config(server=LOCAL), LevelRecognizer(), {}, make)
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(lambda _: ready.set()))
        await ready.wait()
        heard: list[Heard] = [await transcribe(server, s16(SPEECH)) for _ in range(2)]
        server.stop()

    assert [h.finals for h in heard] == [SAID, SAID]
    assert made == [Config().endpoint.vad_aggressiveness] * 2
