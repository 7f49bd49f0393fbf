from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from model.types import SAMPLE_RATE
from streamer.config import Config, ServerConfig, WatchConfig
from streamer.server import Server
from tests.streamer.harness import RippleRecognizer, get, listen, metric, running, s16, until
from tests.streamer.watching.session import PHRASES, SAID, TOKEN, fetch, next_of, say, speaking, stop, texts, watching


async def test_a_viewer_sees_what_the_speaker_sees_and_is_closed_with_1000_at_the_end():
    async with running() as server, speaking(server) as (speaker, session), watching(server, session) as viewer:
        first = json.loads(await viewer.recv())
        told = [message for phrase in PHRASES for message in await say(speaker, phrase)]
        told += (await stop(speaker)).messages
        heard = await listen(viewer)

    assert first["type"] == "watching"
    assert (first["session"], first["language"], first["commits"]) == (session, "en", [])
    assert "ended" not in first
    lasting = [message for message in told if message["type"] not in {"partial", "pace"}]
    assert [message for message in heard.messages if message["type"] != "partial"] == lasting
    assert all(partial in told for partial in heard.of("partial"))
    assert heard.messages[-1]["type"] == "done"
    assert heard.code == 1000


async def test_a_viewer_who_comes_late_gets_what_was_committed_and_the_partial_that_still_holds():
    async with running() as server, speaking(server) as (speaker, session):
        told = await say(speaker, PHRASES[0])
        await speaker.send(s16(PHRASES[1][: SAMPLE_RATE * 7 // 10]))
        partials = [await next_of(speaker, "partial"), await next_of(speaker, "partial")]
        async with watching(server, session) as viewer:
            first, second = json.loads(await viewer.recv()), json.loads(await viewer.recv())

    assert first["commits"] == [message for message in told if message["type"] == "commit"]
    assert second == partials[-1]


async def test_a_session_that_has_ended_can_be_read_for_a_while():
    async with running() as server:
        async with speaking(server) as (speaker, session):
            await say(speaker, PHRASES[0])
            await stop(speaker)
        async with watching(server, session) as viewer:
            heard = await listen(viewer)

    assert heard.kinds == ["watching", "done"]
    assert texts(heard.messages[0]["commits"]) == SAID[0]
    assert heard.messages[0]["ended"] > heard.messages[0]["started"]
    assert heard.code == 1000


async def test_of_ended_sessions_the_oldest_go_first_and_none_is_kept_if_none_may_be():
    async def names(server: Server, count: int) -> list[str]:
        found = []
        for _ in range(count):
            async with speaking(server) as (speaker, session):
                await stop(speaker)
            found.append(session)
        return found

    async with running(config=Config(watch=WatchConfig(max_ended=2))) as server:
        kept = [(await get(server, f"/v1/sessions/{name}.json"))[0] for name in await names(server, 3)]
    async with running(config=Config(watch=WatchConfig(max_ended=0))) as server:
        none = [(await get(server, f"/v1/sessions/{name}.json"))[0] for name in await names(server, 1)]

    assert kept == [404, 200, 200]
    assert none == [404]


async def test_a_session_that_ended_too_long_ago_is_forgotten():
    async with running(config=Config(watch=WatchConfig(keep_s=0))) as server:
        async with speaking(server) as (speaker, session):
            await stop(speaker)
        await until(lambda: server.audience.find(session) is None)
        status, _ = await get(server, f"/v1/sessions/{session}.json")

    assert status == 404


async def test_a_session_whose_client_vanished_ends_for_its_viewers_with_all_its_words():
    async with running() as server:
        async with speaking(server) as (speaker, session):
            await speaker.send(s16(PHRASES[0]))
            async with watching(server, session) as viewer:
                await next_of(viewer, "commit", "watching")
                await speaker.close()
                heard = await listen(viewer)
        reply = await fetch(server, f"/v1/sessions/{session}.txt")

    assert heard.messages[-1]["type"] == "done"
    assert heard.code == 1000
    assert reply.text == f"{SAID[0]}\n"


@pytest.mark.parametrize("message", ['{"type":"stop"}', b"\0\0"])
async def test_a_viewer_who_says_anything_is_told_that_viewers_only_listen_and_closed_with_1008(message):
    async with running() as server, speaking(server) as (speaker, session):
        async with watching(server, session) as viewer:
            await viewer.send(message)
            heard = await listen(viewer)
        said = await say(speaker, PHRASES[0])

    assert heard.messages[-1] == {
        "type": "error",
        "code": "unexpected_message",
        "message": "viewers can only listen, got a message",
    }
    assert heard.code == 1008
    assert texts(said) == SAID[0]


async def test_a_session_that_does_not_exist_is_a_404_with_json_before_the_upgrade():
    async with running() as server:
        with pytest.raises(InvalidStatus) as refusal:
            async with watching(server, "nobody"):
                pass

    assert refusal.value.response.status_code == 404
    assert json.loads(refusal.value.response.body)["error"]["code"] == "session_not_found"


async def test_where_a_token_is_set_a_viewer_needs_it_in_a_header_or_as_a_subprotocol():
    settings = ServerConfig(port=0, token=TOKEN)
    allowed = {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}
    async with running(settings) as server, speaking(server, **allowed) as (_, session):
        async with watching(server, session, **allowed) as viewer:
            await viewer.recv()
        async with watching(server, session, subprotocols=["streamer.v1", f"bearer.{TOKEN}"]) as viewer:
            await viewer.recv()
            assert viewer.subprotocol == "streamer.v1"
        for options in ({}, {"additional_headers": {"Authorization": "Bearer wrong"}}):
            with pytest.raises(InvalidStatus) as refusal:
                async with watching(server, session, **options):
                    pass
            assert refusal.value.response.status_code == 401
        status, body = await get(server, f"/v1/sessions/{session}.json")
        in_the_url, _ = await get(server, f"/v1/sessions/{session}.json?token={TOKEN}")

    assert (status, in_the_url) == (401, 401)
    assert json.loads(body)["error"]["code"] == "invalid_api_key"


async def test_a_page_of_another_site_may_not_watch():
    async with running() as server, speaking(server) as (_, session):
        with pytest.raises(InvalidStatus) as refusal:
            async with watching(server, session, additional_headers={"Origin": "http://elsewhere.example"}):
                pass

    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("limit", [{"max_viewers": 1}, {"max_session_viewers": 1}])
async def test_a_viewer_for_whom_there_is_no_place_is_told_so_and_can_come_when_another_has_gone(limit):
    async with running(config=Config(watch=WatchConfig(**limit))) as server, speaking(server) as (_, session):
        async with watching(server, session) as viewer:
            await viewer.recv()
            async with watching(server, session) as second:
                heard = await listen(second)
            status, body = await get(server, f"/v1/sessions/{session}.json")
            refused = await metric(server, 'streamer_refusals_total{reason="viewers"}')
        await until(lambda: server.audience.find(session).viewers == 0)
        async with watching(server, session) as third:
            first = json.loads(await third.recv())

    assert heard.messages[0]["code"] == "busy"
    assert heard.code == 1013
    assert refused == 2
    assert status == 429
    assert json.loads(body)["error"]["code"] == "busy"
    assert first["type"] == "watching"


@pytest.mark.parametrize(
    ("path", "protocol", "opening"),
    [
        ("/vosk", "vosk", None),
        ("/", "pathless", None),
        ("/v1/listen?encoding=linear16&sample_rate=16000", "deepgram", None),
        ("/whisperlive", "whisperlive", '{"uid": "u", "language": "en", "model": "small", "use_vad": false}'),
    ],
)
async def test_sessions_of_every_protocol_can_be_watched(path, protocol, opening):
    async with running(recognizer=RippleRecognizer()) as server:
        address = f"ws://127.0.0.1:{server.port}{path}"
        async with connect(address, proxy=None, compression=None) as speaker:
            if opening is not None:
                await speaker.send(opening)
            await until(lambda: bool(server.audience.live))
            said = server.audience.live[0]
            async with watching(server, said.session) as viewer:
                audio = PHRASES[0].astype("<f4").tobytes() if protocol == "whisperlive" else s16(PHRASES[0])
                await speaker.send(audio)
                final = await next_of(viewer, "final")

    assert said.protocol == protocol
    assert final["text"] == SAID[0]


async def test_viewers_are_counted():
    async with running() as server, speaking(server) as (_, session):
        async with watching(server, session) as viewer:
            await viewer.recv()
            during = await metric(server, "streamer_viewers")
        await until(lambda: server.audience.find(session).viewers == 0)
        after = await metric(server, "streamer_viewers")

    assert (during, after) == (1, 0)


async def test_viewers_see_the_end_of_a_session_that_the_server_ends():
    async with running() as server, speaking(server) as (speaker, session), watching(server, session) as viewer:
        await speaker.send(s16(PHRASES[0]))
        await next_of(viewer, "speech_started")
        server.stop()
        heard, told = await asyncio.gather(listen(viewer), listen(speaker))

    assert heard.messages[-1] == told.messages[-1]
    assert heard.messages[-1]["type"] == "done"
    assert heard.code == 1012


async def test_a_viewer_that_answers_no_ping_is_cut():
    settings = ServerConfig(port=0, send_timeout_s=0.1)
    async with running(settings) as server, speaking(server) as (_, session), watching(server, session) as viewer:
        await viewer.recv()
        viewer.transport.pause_reading()
        await until(lambda: server.audience.find(session).viewers == 0)
        cut = await metric(server, "streamer_viewers_cut_total")
        viewer.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            await viewer.recv()

    assert cut == 1


async def test_the_whole_so_far_is_json_with_every_commit():
    async with running() as server, speaking(server) as (speaker, session):
        told = [message for phrase in PHRASES for message in await say(speaker, phrase)]
        reply = await fetch(server, f"/v1/sessions/{session}.json")

    assert reply.status_code == 200
    assert reply.json()["session"] == session
    assert reply.json()["commits"] == [message for message in told if message["type"] == "commit"]


async def test_live_sessions_are_listed():
    async with running() as server:
        async with speaking(server) as (_, session), watching(server, session) as viewer:
            await viewer.recv()
            during = json.loads((await get(server, "/v1/sessions"))[1])["sessions"]
        await until(lambda: not server.audience.live)
        after = json.loads((await get(server, "/v1/sessions"))[1])["sessions"]

    assert [(one["id"], one["language"], one["protocol"], one["viewers"]) for one in during] == [
        (session, "en", "native", 1)
    ]
    assert after == []
