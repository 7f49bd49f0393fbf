"""Every protocol over a real socket: who is let in, what is selected, how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from model.types import SAMPLE_RATE
from streamer.config import ServerConfig
from streamer.protocols.table import PROTOCOLS
from streamer.server import Server
from tests.fakes import silence, speak
from tests.streamer.harness import RippleRecognizer, connected, listen, metric, push, running, s16, sentence
from tests.streamer.protocols.stage import append, appends, pcm

REALTIME, LISTEN = "/v1/realtime?intent=transcription", "/v1/listen?encoding=linear16&sample_rate=16000"
PATHS = ("/v1/stream", REALTIME, LISTEN)
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
TOKEN = "a-token-that-nobody-guesses"
GUARDED = ServerConfig(port=0, token=TOKEN)
COMPLETED = "conversation.item.input_audio_transcription.completed"


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


async def native_words(server: Server) -> list[str]:
    """And ours."""
    async with connected(server) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, [{"type": "start"}, s16(SPEECH), {"type": "stop"}]))
        heard = await listen(socket)
    return " ".join(heard.finals).split()


async def test_every_protocol_gives_the_same_words() -> None:
    async with running(recognizer=RippleRecognizer()) as server:
        said = [await words(server) for words in (native_words, realtime_words, listen_words)]

    assert said == [["w1", "w2", "w3", "w4", "w5"]] * len(PROTOCOLS)


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
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, LISTEN):
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
