"""Every protocol over a real socket: who is let in, what is selected, how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples
from streamer.config import Config, LineConfig, ServerConfig, WyomingConfig
from streamer.protocols.table import PROTOCOLS
from streamer.server import Server
from tests.digits import errors, needs_recordings, say
from tests.fakes import silence, speak
from tests.streamer import wyoming_client
from tests.streamer.harness import RippleRecognizer, connected, listen, metric, push, running, s16, sentence
from tests.streamer.protocols.stage import append, appends, pcm

REALTIME, LISTEN = "/v1/realtime?intent=transcription", "/v1/listen?encoding=linear16&sample_rate=16000"
VOSK, WHISPERLIVE, PATHLESS = "/vosk", "/whisperlive", "/"
PATHS = ("/v1/stream", REALTIME, LISTEN, VOSK, WHISPERLIVE, PATHLESS)
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
TOKEN = "a-token-that-nobody-guesses"
GUARDED = ServerConfig(port=0, token=TOKEN)
WITH_PORTS = Config(wyoming=WyomingConfig(enabled=True, port=0), line=LineConfig(enabled=True, port=0))
COMPLETED = "conversation.item.input_audio_transcription.completed"


class BusyRecognizer(RippleRecognizer):
    """Answers nobody until it is free."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Wait, then answer."""
        self.free.wait()
        return super().transcribe(batch)


@asynccontextmanager
async def opened(server: Server, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("compression", None)
    async with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, **options) as socket:
        yield socket


async def realtime_words(server: Server) -> list[str]:
    """What OpenAI's protocol makes of the speech."""
    async with opened(server, REALTIME) as socket, asyncio.TaskGroup() as group:
        commit = {"type": "input_audio_buffer.commit"}
        group.create_task(push(socket, [*appends(pcm(SPEECH, 24_000)), commit]))
        words: list[str] = []
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == COMPLETED:
                words += message["transcript"].split()
                if not message["transcript"]:  # of the silence after the last turn
                    return words


async def listen_words(server: Server) -> list[str]:
    """What Deepgram's makes of it."""
    async with opened(server, LISTEN) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, [s16(SPEECH), {"type": "CloseStream"}]))
        heard = await listen(socket)
    assert heard.code == 1000
    return " ".join(m["channel"]["alternatives"][0]["transcript"] for m in heard.of("Results")).split()


async def lockstep(socket: ClientConnection, audio: bytes, size: int = 3_200) -> list[dict[str, Any]]:
    """Send each message when the one before it is answered, as Vosk's clients do; return the answers."""
    await socket.send(json.dumps({"config": {"sample_rate": SAMPLE_RATE}}))
    answers = []
    for message in [*(audio[at : at + size] for at in range(0, len(audio), size)), '{"eof" : 1}']:
        await socket.send(message)
        answers.append(json.loads(await socket.recv()))
    return answers


async def vosk_words(server: Server, path: str = VOSK, speech: Samples = SPEECH) -> list[str]:
    """What Vosk's makes of it."""
    async with opened(server, path) as socket:
        answers = await lockstep(socket, s16(speech))
        await socket.wait_closed()
    assert socket.close_code == 1000
    return " ".join(answer.get("text", "") for answer in answers).split()


def as_floats(audio: Samples) -> bytes:
    """The samples that 16-bit integers leave of audio, as floats."""
    return (np.round(audio * 32_767) / 32_768).astype("<f4").tobytes()


async def whisperlive_words(server: Server, path: str = WHISPERLIVE, speech: Samples = SPEECH) -> list[str]:
    """What WhisperLive's makes of it."""
    async with opened(server, path) as socket, asyncio.TaskGroup() as group:
        await socket.send(json.dumps({"uid": "me", "language": "en"}))
        assert json.loads(await socket.recv())["message"] == "SERVER_READY"
        group.create_task(push(socket, [as_floats(speech), b"END_OF_AUDIO"]))
        heard = await listen(socket)
    assert heard.code == 1000
    return " ".join(segment["text"] for segment in heard.messages[-1]["segments"]).split()


async def pathless_words(server: Server) -> list[str]:
    """What both make of it for clients that know no path; they must not differ."""
    locked, live = await vosk_words(server, PATHLESS), await whisperlive_words(server, PATHLESS)
    assert locked == live
    return live


async def native_words(server: Server, speech: Samples = SPEECH) -> list[str]:
    """And ours."""
    async with connected(server) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, [{"type": "start", "language": "en"}, s16(speech), {"type": "stop"}]))
        heard = await listen(socket)
    return " ".join(heard.finals).split()


async def wyoming_words(server: Server, speech: Samples = SPEECH) -> list[str]:
    """And Wyoming's, on its own port."""
    async with wyoming_client.connect(server.ports.wyoming) as client:
        return (await client.transcript(speech)).split()


async def line_words(server: Server, speech: Samples = SPEECH) -> list[str]:
    """And what comes out as lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.line)
    writer.write(s16(speech))
    writer.write_eof()
    lines = (await reader.read()).decode().splitlines()
    writer.close()
    return "".join(line.split(" ", 2)[2] for line in lines).split()


WORDS = (
    native_words,
    realtime_words,
    listen_words,
    vosk_words,
    whisperlive_words,
    pathless_words,
    wyoming_words,
    line_words,
)


async def test_every_protocol_gives_the_same_words() -> None:
    async with running(recognizer=RippleRecognizer(), config=WITH_PORTS) as server:
        said = [await words(server) for words in WORDS]

    assert said == [["w1", "w2", "w3", "w4", "w5"]] * (len(PROTOCOLS) + 2)


@needs_recordings
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("machine_keeps_up")
async def test_spoken_digits_are_the_same_words_in_lockstep_in_segments_and_in_turns() -> None:
    said = say("jackson", 5, seed=8)
    recognizer = WhisperRecognizer.load("demo", device="cpu", threads=1)
    server = Server(replace(WITH_PORTS, server=ServerConfig(port=0, drain_timeout_s=0)), recognizer, {})
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(lambda _: ready.set()))
        await ready.wait()
        heard = [
            await native_words(server, said.audio),
            await vosk_words(server, "/vosk?language=en", said.audio),
            await whisperlive_words(server, "/", said.audio),
            await wyoming_words(server, said.audio),
            await line_words(server, said.audio),
        ]
        server.stop()

    assert heard[1:] == heard[:1] * 4
    assert errors([word.strip(",.").lower() for word in heard[0]], list(said.words)) <= 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong"])
async def test_without_the_token_nobody_gets_in(path: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with running(GUARDED) as server:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, path, additional_headers=headers):
                pass

    assert caught.value.response.status_code == 401


@pytest.mark.parametrize(
    ("path", "headers", "offered", "selected"),
    [
        (REALTIME, {"Authorization": f"Bearer {TOKEN}"}, None, None),
        (REALTIME, {}, ["realtime", f"openai-insecure-api-key.{TOKEN}"], "realtime"),
        (
            REALTIME,
            {},
            [f"openai-insecure-api-key.{TOKEN}", "openai-beta.realtime-v1", "realtime"],
            "realtime",
        ),
        (LISTEN, {"Authorization": f"Token {TOKEN}"}, None, None),
        (LISTEN, {"Authorization": f"token {TOKEN}"}, None, None),
        (LISTEN, {"Authorization": f"Bearer {TOKEN}"}, None, None),
        (VOSK, {"Authorization": f"Bearer {TOKEN}"}, None, None),
        (PATHLESS, {"Authorization": f"Bearer {TOKEN}"}, None, None),
        (LISTEN, {}, ["token", TOKEN], "token"),
        (LISTEN, {}, ["bearer", TOKEN, "x-deepgram-session-id", "id"], "bearer"),
        ("/v1/stream", {}, ["streamer.v1", f"bearer.{TOKEN}"], "streamer.v1"),
    ],
)
async def test_each_protocols_way_of_showing_the_token(
    path: str, headers: dict[str, str], offered: Any, selected: str | None
) -> None:
    async with (
        running(GUARDED) as server,
        opened(server, path, additional_headers=headers, subprotocols=offered) as socket,
    ):
        assert socket.subprotocol == selected


@pytest.mark.parametrize("path", PATHS)
async def test_pages_of_other_sites_are_kept_out_everywhere(path: str) -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, path, origin="https://example.com"):
                pass

    assert caught.value.response.status_code == 403


async def test_a_deepgram_client_is_given_the_name_of_its_request() -> None:
    async with running() as server, opened(server, LISTEN) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, [{"type": "CloseStream"}]))
        heard = await listen(socket)

    assert socket.response is not None
    assert socket.response.headers["dg-request-id"] == heard.of("Metadata")[0]["request_id"]


async def test_a_wrong_url_is_refused_in_deepgrams_words() -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, "/v1/listen?encoding=g729&sample_rate=8000"):
                pass
        refused = await metric(server, 'streamer_refusals_total{reason="handshake"}')

    body = json.loads(caught.value.response.body or b"")
    assert caught.value.response.status_code == 400
    assert body["err_code"] == "Bad Request"
    assert "linear16" in body["err_msg"]
    assert "linear16" in caught.value.response.headers["dg-error"]
    assert refused == 1


async def test_a_full_server_says_so_in_the_words_of_each_protocol() -> None:
    async with running(ServerConfig(port=0, max_sessions=1)) as server, opened(server, REALTIME) as first:
        await first.recv()
        async with opened(server, REALTIME) as socket:
            heard = await listen(socket)
        for path in (VOSK, WHISPERLIVE, PATHLESS, LISTEN):
            with pytest.raises(InvalidStatus) as caught:
                async with opened(server, path):
                    pass

    assert heard.of("error")[0]["error"]["code"] == "rate_limit_exceeded"
    assert (heard.code, heard.reason) == (1013, "server_error.rate_limit_exceeded")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"]


async def test_messages_may_be_larger_where_audio_is_base64() -> None:
    settings = ServerConfig(port=0, max_message_bytes=65_536)
    long = pcm(np.concatenate([sentence(1, 2), silence(SAMPLE_RATE)]), 24_000)
    async with running(settings, recognizer=RippleRecognizer()) as server:
        async with opened(server, REALTIME) as socket:
            await socket.send(json.dumps(append(long)))
            message: dict[str, Any] = {"type": ""}
            while message["type"] != COMPLETED:
                message = json.loads(await socket.recv())
        async with opened(server, LISTEN) as socket:
            with suppress(ConnectionClosed):
                await socket.send(long)
            heard = await listen(socket)

    assert len(long) > settings.max_message_bytes
    assert message["transcript"] == "w1 w2"
    assert heard.code == 1009


async def test_a_server_that_goes_away_completes_what_it_has_heard() -> None:
    async with running(recognizer=RippleRecognizer()) as server, opened(server, REALTIME) as socket:
        for message in appends(pcm(speak([1, 2]), 24_000)):
            await socket.send(json.dumps(message))
        while json.loads(await socket.recv())["type"] != "input_audio_buffer.speech_started":
            pass
        await socket.send(json.dumps({"type": "session.update", "session": {}}))
        while json.loads(await socket.recv())["type"] != "session.updated":
            pass
        server.stop()
        heard = await listen(socket)

    assert [message["transcript"] for message in heard.of(COMPLETED)] == ["w1 w2"]
    assert heard.code == 1012


async def test_a_server_that_goes_away_tells_a_vosk_client_what_it_has_heard() -> None:
    async with running(recognizer=RippleRecognizer()) as server, opened(server, VOSK) as socket:
        await socket.send(json.dumps({"config": {"sample_rate": SAMPLE_RATE}}))
        await socket.send(s16(speak([1, 2])))
        await socket.recv()
        server.stop()
        heard = await listen(socket)

    assert [message["text"] for message in heard.messages] == ["w1 w2"]
    assert heard.code == 1012


async def test_a_vosk_client_is_answered_while_the_recognizer_is_busy() -> None:
    recognizer = BusyRecognizer()
    async with running(recognizer=recognizer) as server, opened(server, VOSK) as socket:
        recognizer.free.clear()
        await socket.send(json.dumps({"config": {"sample_rate": SAMPLE_RATE}}))
        answers: list[dict[str, Any]] = []
        for at in range(0, len(SPEECH), 1_600):
            await socket.send(s16(SPEECH[at : at + 1_600]))
            answers.append(json.loads(await socket.recv()))
        recognizer.free.set()
        await socket.send('{"eof": 1}')
        last = json.loads(await socket.recv())

    assert answers == [{"partial": ""}] * len(answers)
    assert last["text"] == "w1 w2 w3 w4 w5"


async def test_a_client_that_says_nothing_is_closed_in_the_words_of_its_protocol() -> None:
    settings = ServerConfig(port=0, idle_timeout_s=0.05)
    async with running(settings) as server:
        async with opened(server, REALTIME) as socket:
            realtime = await listen(socket)
        async with opened(server, LISTEN) as socket:
            deepgram = await listen(socket)

    assert (realtime.code, realtime.reason) == (1001, "invalid_request_error.session_expired")
    assert deepgram.code == 1011
    assert deepgram.reason.startswith("net0001")


def test_no_two_protocols_are_served_in_one_place() -> None:
    assert len({protocol.path for protocol in PROTOCOLS}) == len(PROTOCOLS)
