"""Sessions that are resumed, after their daemon or their connection has ended, and those who look on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from streamer.config import Config, JournalConfig, ServerConfig, WatchConfig
from streamer.core.events import Commit, Final
from streamer.journal.journal import Journal
from streamer.journal.writes import SilentError
from streamer.server import Server
from streamer.watching.past import spoken
from tests.streamer.connection.test_resume import SPEECH, TEXTS, Client, journalled
from tests.streamer.harness import GatedRecognizer, listen, running, until
from tests.streamer.watching.session import fetch, next_of, texts, watching
from tests.streamer.watching.test_transcripts import cues_of

CUTS = [20_001, 33_333, 60_000, 80_001]


@asynccontextmanager
async def resumed(
    config: Config, cut: int = 60_000, before: str = "final"
) -> AsyncIterator[tuple[Server, Client, str]]:
    """Begin a session on one daemon, which ends after a message of a kind, and end it on the next."""
    client = Client()
    async with running(config=config) as server, client.on(server) as socket:
        await client.push(socket, cut)
        await client.take(socket, before, 1)
        server.stop()
        await client.take(socket)
    async with running(config=config) as server:
        async with client.on(server) as socket:
            await client.finish(socket)
        yield server, client, client.ready["session"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return where the ranges of entries that the journal is asked for begin and end."""
    asked, read = [], Journal.read

    async def counted(self: Journal, session: str, numbers: range) -> Any:
        asked.append((numbers.start, numbers.stop))
        return await read(self, session, numbers)

    monkeypatch.setattr(Journal, "read", counted)
    return asked


async def opening(server: Server, session: str) -> dict[str, Any]:
    """Return the first message to a viewer."""
    async with watching(server, session) as viewer:
        first: dict[str, Any] = json.loads(await viewer.recv())
    return first


@pytest.mark.parametrize("cut", CUTS)
async def test_a_viewer_of_a_session_that_went_on_with_the_next_daemon_is_shown_all_of_it(tmp_path, cut):
    async with resumed(journalled(tmp_path), cut, "commit") as (server, client, session):
        first = await opening(server, session)
        written = {style: await fetch(server, f"/v1/sessions/{session}.{style}") for style in ("txt", "vtt", "srt")}

    assert "omitted" not in first
    told = [{**message, "lag": None} for message in client.heard.of("commit")]
    assert [{**message, "lag": None} for message in first["commits"]] == told
    for style, reply in written.items():
        assert "omitted-commits" not in reply.headers
        text = reply.text
        if style != "txt":
            cues = cues_of(style, text)
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(cues))
            text = " ".join(cue[2] for cue in cues)
        assert text.split() == " ".join(TEXTS).split()


async def test_a_viewer_who_was_away_while_the_daemon_ended_has_missed_nothing(tmp_path):
    client, seen = Client(), []
    async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
        await client.push(socket, 20_001)
        await client.take(socket, "commit", 1)
        async with watching(server, client.ready["session"]) as viewer:
            seen += json.loads(await viewer.recv())["commits"]
        await client.push(socket, 60_000)  # which the viewer does not hear of
        await client.take(socket, "final", 1)
        server.stop()
        await client.take(socket)
    async with (
        running(config=journalled(tmp_path)) as server,
        client.on(server) as socket,
        watching(server, client.ready["session"]) as viewer,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(client.finish(socket))
        first = await next_of(viewer, "watching")
        seen += [commit for commit in first["commits"] if commit["id"] > seen[-1]["id"]]
        while (message := await next_of(viewer, "commit", "done"))["type"] != "done":
            seen.append(message)

    assert [commit["id"] for commit in seen] == list(range(1, client.have + 1))
    assert texts(seen).split() == texts(client.heard.of("commit")).split()


async def test_a_session_that_its_client_comes_back_to_after_its_end_is_shown_whole():
    client = Client()
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket, 33_333)
            await client.take(socket, "commit", 1)
            socket.transport.abort()
        server.admission.cut()  # which decides it, so that only the journal has it
        async with client.on(server) as socket:
            await client.finish(socket)
        first = await opening(server, client.ready["session"])

    assert "omitted" not in first
    assert [commit["id"] for commit in first["commits"]] == list(range(1, client.have + 1))


async def test_viewers_are_told_to_come_again_while_a_client_that_stayed_away_too_long_may_be_back_and_see_the_rest():
    client = Client()
    async with running(ServerConfig(port=0, resume_s=0.01)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 33_333)
            await client.take(socket, "commit", 1)
            session = client.ready["session"]
            async with watching(server, session) as viewer:
                socket.transport.abort()
                stayed = await listen(viewer)
        async with watching(server, session) as viewer:
            late = await listen(viewer)
        async with client.on(server) as socket, watching(server, session) as viewer, asyncio.TaskGroup() as group:
            group.create_task(client.finish(socket))
            back = await listen(viewer)

    assert [heard.kinds[-1] for heard in (stayed, late, back)] == ["done"] * 3
    assert [heard.code for heard in (stayed, late, back)] == [1012, 1012, 1000]
    seen = [*back.messages[0]["commits"], *back.of("commit")]
    assert [commit["id"] for commit in seen] == list(range(1, client.have + 1))


async def test_who_watches_a_client_that_stopped_and_left_before_the_rest_waits_for_nobody():
    client, recognizer = Client(), GatedRecognizer()
    async with (
        running(ServerConfig(port=0, resume_s=0.01), recognizer) as server,
        client.on(server) as socket,
        watching(server, client.ready["session"]) as viewer,
    ):
        await client.push(socket)
        [connection] = server.admission._connections
        await until(lambda: connection._reader.stopped)
        socket.transport.abort()
        recognizer.gate.set()
        heard = await listen(viewer)

    assert (heard.kinds[-1], heard.code) == ("done", 1000)


async def test_of_several_viewers_the_first_asks_and_all_are_shown_the_same(tmp_path, monkeypatch, asked):
    monkeypatch.setattr("streamer.watching.past.PAGE", 2)
    async with resumed(journalled(tmp_path)) as (server, client, session):
        assert asked == [], "a session that nobody watches costs nothing"
        found = await asyncio.gather(*(opening(server, session) for _ in range(5)))
        again = await opening(server, session)

    assert all(first == found[0] for first in (*found, again))
    assert [commit["id"] for commit in found[0]["commits"]] == list(range(1, client.have + 1))
    assert len(asked) == len(set(asked)) > 2
    assert min(asked)[0] == 1
    assert all(earlier[1] == later[0] for earlier, later in pairwise(sorted(asked)))


async def fails(*_: Any) -> Any:
    raise SilentError("the disk does not answer")


async def hangs(*_: Any) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("read", "why"),
    [(fails, "the disk does not answer"), (hangs, "no answer in 0.01 s")],
    ids=["fails", "hangs"],
)
async def test_what_a_journal_cannot_say_is_counted_as_omitted_and_the_session_is_shown(
    tmp_path, monkeypatch, caplog, read, why
):
    monkeypatch.setattr(Journal, "read", read)
    monkeypatch.setattr("streamer.watching.past.PATIENCE_S", 0.01)
    async with resumed(journalled(tmp_path)) as (server, client, session):
        with caplog.at_level(logging.WARNING, "streamer.watching.past"):
            first, again = await opening(server, session), await opening(server, session)

    assert first == again
    assert [commit["id"] for commit in first["commits"]] == list(range(first["omitted"] + 1, client.have + 1))
    assert 0 < first["omitted"] < client.have
    assert [record.getMessage() for record in caplog.records] == [
        f"not all that the session said before it was resumed can be shown: {why}"
    ]


async def test_of_a_long_past_no_more_is_read_than_is_kept(tmp_path, monkeypatch, asked):
    monkeypatch.setattr("streamer.watching.past.PAGE", 1)
    config = Config(journal=JournalConfig(tmp_path / "journal.sqlite"), watch=WatchConfig(max_session_bytes=1_000))
    async with resumed(config, len(SPEECH)) as (server, client, session):
        first = await opening(server, session)

    ids = [commit["id"] for commit in first["commits"]]
    assert ids == list(range(first["omitted"] + 1, client.have + 1))
    assert 1 < len(ids) < client.have
    assert len(asked) < client.have


def test_before_a_hole_that_the_journal_has_nothing_is_shown():
    told = [Commit(number, 1, " word", number, number + 1, ()) for number in (1, 2, 5, 6)]
    past = spoken("s", 6, [*told, Final(1, "word word", 1, 7, "en")], 1 << 20)

    assert (past.lines.gone, past.lines.last) == (4, 6)
    assert spoken("s", 6, [], 1 << 20).lines.last == 6
