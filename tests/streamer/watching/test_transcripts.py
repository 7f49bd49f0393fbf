from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
import srt
import webvtt

from model.types import SAMPLE_RATE
from streamer.config import Config, ServerConfig, WatchConfig
from streamer.core.events import Commit
from streamer.server import Server
from streamer.watching.broadcast import Broadcast
from streamer.watching.styles import STYLES
from tests.fakes import silence, speak
from tests.streamer.driver import play
from tests.streamer.harness import connected, get, metric, running, s16, sentence, until
from tests.streamer.watching.session import PHRASES, SAID, fetch, say, speaking, stop

WORDS = [number % 40 for number in range(60)]
SPEECH = np.concatenate([silence(SAMPLE_RATE // 10), speak(WORDS), sentence(1, 2), sentence(*WORDS[:30]), sentence(7)])


class Events:
    """A client of server-sent events, as the standard has it."""

    def __init__(self, reply: httpx.Response) -> None:
        self.reply = reply
        self._lines = reply.aiter_lines()
        self.comments = 0

    async def next(self) -> dict[str, str] | None:
        """Return the next event, None after the last."""
        event: dict[str, str] = {}
        data: list[str] = []
        async for line in self._lines:
            if not line:
                if data:
                    return {"event": "message", **event, "data": "\n".join(data)}
                event = {}
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self.comments += not field
            if field == "data":
                data.append(value)
            else:
                event[field] = value
        return None

    async def rest(self) -> list[dict[str, str]]:
        """Return all events up to the end."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def following(server: Server, path: str, **options: Any) -> AsyncIterator[Events]:
    """Follow a session by server-sent events."""
    async with (
        httpx.AsyncClient(trust_env=False, verify=False, timeout=None) as client,  # the test has its own
        client.stream("GET", f"http://127.0.0.1:{server.port}{path}", **options) as reply,
    ):
        yield Events(reply)


def cues_of(style: str, text: str) -> list[tuple[float, float, str]]:
    """Parse subtitles with a library that is not ours."""
    if style == "srt":
        return [
            (cue.start.total_seconds(), cue.end.total_seconds(), cue.content)
            for cue in srt.parse(text, ignore_errors=False)
        ]
    return [(cue.start_in_seconds, cue.end_in_seconds, cue.text) for cue in webvtt.from_string(text)]


def document(style: str, events: list[dict[str, str]]) -> str:
    """Return what a client has that put the events together as the protocol's description says."""
    cues = [event["data"] for event in events if event["event"] == "message"]
    head = ["WEBVTT"] if style == "vtt" else []
    return "\n\n".join([*head, *cues]) + "\n"


async def test_the_whole_so_far_is_json_with_every_commit():
    async with running() as server, speaking(server) as (speaker, session):
        told = [message for phrase in PHRASES for message in await say(speaker, phrase)]
        reply = await fetch(server, f"/v1/sessions/{session}.json")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["session"] == session
    assert reply.json()["commits"] == [message for message in told if message["type"] == "commit"]


async def test_text_has_a_line_for_each_utterance():
    async with running() as server, speaking(server) as (speaker, session):
        empty = await fetch(server, f"/v1/sessions/{session}.txt")
        for phrase in PHRASES:
            await say(speaker, phrase)
        reply = await fetch(server, f"/v1/sessions/{session}.txt")

    assert empty.text == ""
    assert reply.text == "".join(f"{said}\n" for said in SAID)
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("style", ["srt", "vtt"])
def test_subtitles_are_valid_at_every_moment_and_what_was_written_never_changes(style):
    said = Broadcast("s", "native", "now", None, 1 << 20)
    written = []
    for event in play(SPEECH):
        said.publish(event)
        written.append("".join(STYLES[style].whole(said)))
    said.end("then", 0)
    written.append("".join(STYLES[style].whole(said)))
    found = [cues_of(style, text) for text in written]

    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(found))
    assert len({len(cues) for cues in found}) == len(found[-1]) + 1 > 6, "they come one by one"
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(found[-1]))
    assert all(len(cue[2].split("\n")) <= 2 for cue in found[-1])
    lines = [line for cue in found[-1] for line in cue[2].split("\n")]
    assert max(map(len, lines)) <= 42
    assert " ".join(lines).split() == " ".join(line.text for line in said.lines.after(0)).split()


@pytest.mark.parametrize("style", ["srt", "vtt"])
async def test_live_cues_put_together_are_the_whole_document(style):
    async with running() as server, speaking(server) as (speaker, session):
        for half in np.array_split(SPEECH, 2):
            await speaker.send(s16(half))
        async with following(server, f"/v1/sessions/{session}.{style}?live=1") as events:
            await stop(speaker)
            heard = await events.rest()
        whole = (await fetch(server, f"/v1/sessions/{session}.{style}")).text

    assert events.reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert cues_of(style, document(style, heard)) == cues_of(style, whole)
    assert len(cues_of(style, whole)) >= 3
    assert [int(event["id"]) for event in heard[:-1]] == list(range(1, len(heard)))
    assert heard[-1]["event"] == "done"


async def test_live_text_put_together_is_the_whole_text():
    async with running() as server, speaking(server) as (speaker, session):
        await say(speaker, PHRASES[0])
        async with following(server, f"/v1/sessions/{session}.txt", headers={"Accept": "text/event-stream"}) as events:
            for phrase in PHRASES[1:]:
                await say(speaker, phrase)
            await stop(speaker)
            heard = await events.rest()

    assert "".join(event["data"] for event in heard[:-1]) == "\n".join(SAID)


async def test_live_json_is_the_commits_and_a_client_comes_back_where_it_left():
    async with running() as server, speaking(server) as (speaker, session):
        told = [message for phrase in PHRASES[:2] for message in await say(speaker, phrase)]
        path = f"/v1/sessions/{session}.json?live=true"
        async with following(server, path) as events:
            first = [await events.next(), await events.next()]
        told += await say(speaker, PHRASES[2])
        async with following(server, path, headers={"Last-Event-ID": first[-1]["id"]}) as events:
            await stop(speaker)
            second = await events.rest()
        commits = [message for message in told if message["type"] == "commit"]
        complete = await fetch(server, path, headers={"Last-Event-ID": str(len(commits))})

    heard = [json.loads(event["data"]) for event in [*first, *second] if event["event"] == "message"]
    assert heard == commits
    assert [int(event["id"]) for event in [*first, *second[:-1]]] == [commit["id"] for commit in commits]
    assert json.loads(second[-1]["data"]) == {"commits": len(commits)}
    assert complete.status_code == 204, "an EventSource that has everything is told not to come again"


@pytest.mark.parametrize("query", ["", "?live=1"])
async def test_a_page_can_ask_whether_it_would_be_let_in(query):
    async with running() as server, speaking(server) as (_, session):
        url = f"http://127.0.0.1:{server.port}/v1/sessions"
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            found = await client.head(f"{url}/{session}.txt{query}")
            absent = await client.head(f"{url}/nobody.txt{query}")

    assert (found.status_code, found.content) == (200, b"")
    assert (absent.status_code, absent.content) == (404, b"")


async def test_live_events_say_what_is_no_longer_kept():
    config = Config(watch=WatchConfig(max_session_bytes=1_000))
    async with running(config=config) as server, speaking(server) as (speaker, session):
        for phrase in PHRASES * 3:
            await say(speaker, phrase)
        await stop(speaker)
        async with following(server, f"/v1/sessions/{session}.json?live=1") as events:
            first, second = await events.next(), await events.next()
        text = await fetch(server, f"/v1/sessions/{session}.txt")
        vtt = await fetch(server, f"/v1/sessions/{session}.vtt")

    gone = json.loads(first["data"])
    assert first["event"] == "omitted"
    assert gone["from"] == 1
    assert int(second["id"]) == gone["to"] + 1
    assert text.text.startswith(f"[the first {gone['to']} commits are no longer kept]\n")
    assert text.headers["omitted-commits"] == str(gone["to"])
    assert "NOTE The first" in vtt.text
    assert cues_of("vtt", vtt.text)


async def test_a_client_of_events_that_leaves_gives_its_place_back():
    async with running() as server, speaking(server) as (_, session):
        async with following(server, f"/v1/sessions/{session}.json?live=1"):
            await until(lambda: server.audience.find(session).viewers == 1)
        await until(lambda: server.audience.find(session).viewers == 0)


async def test_while_nothing_is_said_events_are_kept_alive_by_comments(monkeypatch):
    monkeypatch.setattr("streamer.watching.transcripts.HEARTBEAT_S", 0.01)
    async with (
        running() as server,
        speaking(server) as (speaker, session),
        following(server, f"/v1/sessions/{session}.json?live=1") as events,
    ):
        waiting = asyncio.ensure_future(events.next())
        await until(lambda: events.comments > 2)
        await say(speaker, PHRASES[0])
        event = await waiting

    assert event["id"] == "1"


async def test_a_connection_is_not_cut_for_waiting_longer_than_a_request_may_take():
    async with running(ServerConfig(port=0, open_timeout_s=0.05)) as server, connected(server) as socket:
        await socket.send('{"type":"start"}')
        session = json.loads(await socket.recv())["session"]
        async with following(server, f"/v1/sessions/{session}.json?live=1") as events:
            waiting = asyncio.ensure_future(events.next())
            await asyncio.wait([waiting], timeout=0.2)
            await say(socket, PHRASES[0])
            event = await waiting

    assert event["id"] == "1"


@pytest.mark.parametrize(
    ("path", "headers", "status", "complaint"),
    [
        (".json?live=maybe", {}, 400, "live must be true or false, got 'maybe'"),
        (".json?live=1", {"Last-Event-ID": "x"}, 400, "Last-Event-ID must be a whole number, got 'x'"),
        (".pdf", {}, 404, "the path must end with one of .vtt, .srt, .txt, .json"),
        ("", {}, 404, "the path must end with one of .vtt, .srt, .txt, .json"),
        ("x.json", {}, 404, "does not exist, or ended too long ago"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_reason(path, headers, status, complaint):
    async with running() as server, speaking(server) as (_, session):
        reply = await fetch(server, f"/v1/sessions/{session}{path}", headers=headers)

    assert reply.status_code == status
    assert complaint in reply.json()["error"]["message"]


@pytest.mark.parametrize("style", list(STYLES))
async def test_a_host_whose_name_may_have_been_made_to_resolve_to_us_shows_nothing_without_a_token(style):
    async with running() as server, speaking(server) as (speaker, session):
        await say(speaker, PHRASES[0])
        headers = {"Host": f"rebound.example:{server.port}"}
        rebound = await fetch(server, f"/v1/sessions/{session}.{style}", headers=headers)
        local = await fetch(server, f"/v1/sessions/{session}.{style}")

    assert (rebound.status_code, local.status_code) == (403, 200)
    assert "w1" not in rebound.text


async def test_a_client_of_events_that_takes_nothing_is_cut_and_the_speaker_does_not_notice():
    config = Config(watch=WatchConfig(max_session_bytes=1 << 26))
    settings = ServerConfig(port=0, send_timeout_s=0.1)
    async with running(settings, config=config) as server, speaking(server) as (speaker, session):
        said = server.audience.find(session)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.transport.pause_reading()
        writer.write(f"GET /v1/sessions/{session}.json?live=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await until(lambda: said.viewers == 1)
        for number in range(1, 21):  # more than all the buffers on the way take
            said.publish(Commit(number, 1, "x" * 1_000_000, 0, 1, ()))
        await until(lambda: said.viewers == 0)
        cut = await metric(server, "streamer_viewers_cut_total")
        told = await say(speaker, PHRASES[0])
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()

    assert cut == 1
    assert told[-1]["text"] == SAID[0]


async def test_live_sessions_are_listed_for_clients_on_this_machine():
    async with running() as server:
        async with speaking(server) as (_, session):
            during = json.loads((await get(server, "/v1/sessions"))[1])["sessions"]
            forwarded = await fetch(server, "/v1/sessions", headers={"X-Forwarded-For": "192.0.2.1"})
        await until(lambda: not server.audience.live)
        after = json.loads((await get(server, "/v1/sessions"))[1])["sessions"]

    assert [(one["id"], one["language"], one["protocol"], one["viewers"]) for one in during] == [
        (session, "en", "native", 0)
    ]
    assert after == []
    assert forwarded.status_code == 403
