"""Sessions that outlive their connection, and their daemon: at the wire, with a client that hides nothing."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from model.types import SAMPLE_RATE, Samples
from streamer.config import Config, JournalConfig, ServerConfig, SessionConfig
from streamer.connection.lobby import Lobby
from streamer.connection.wire import Wire
from streamer.core.commands import Claim, Message
from streamer.journal.inbox import Item
from streamer.journal.records import Standing
from streamer.journal.scribe import Scribe
from streamer.journal.writes import Note
from streamer.protocols.resumption import Offsets
from streamer.server import Server
from streamer.watching.broadcast import Broadcast
from tests.fakes import silence, speak
from tests.streamer.harness import (
    GatedRecognizer,
    Heard,
    connected,
    converse,
    get,
    listen,
    metric,
    running,
    s16,
    sentence,
    until,
    until_heard,
)

WORDS = [[1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12, 13, 14]]
SPEECH = np.concatenate([sentence(*words) for words in WORDS])
TEXTS = [" ".join(f"w{word}" for word in words) for words in WORDS]
START = {"type": "start", "resumable": True}


class Client:
    """What a client keeps of a session: everything it was told, and the audio."""

    def __init__(self, audio: Samples = SPEECH) -> None:
        self.audio = s16(audio)
        self.heard = Heard()
        self.sent = 0
        self.acked = 0
        self.ready: dict[str, Any] = {}

    @property
    def have(self) -> int:
        return max((message["id"] for message in self.heard.of("commit")), default=0)

    def start(self, **more: Any) -> dict[str, Any]:
        if not self.ready:
            return START | more
        resume = {"session": self.ready["session"], "token": self.ready["resume_token"], "epoch": self.ready["epoch"]}
        return START | {"resume": resume | {"have": self.have, "covered": self.acked} | more}

    @asynccontextmanager
    async def on(self, server: Server, **more: Any) -> AsyncIterator[ClientConnection]:
        """Connect, or come back."""
        async with connected(server) as socket:
            await socket.send(json.dumps(self.start(**more)))
            ready = await until_heard(socket, "ready")
            self.ready = self.ready | ready
            self.sent = ready["resume_from"]
            yield socket

    async def push(self, socket: ClientConnection, upto: int | None = None) -> None:
        """Send audio up to a sample, or all of it and stop."""
        end = len(self.audio) // 2 if upto is None else upto
        while self.sent < end:
            step = min(1600, end - self.sent)
            await socket.send(self.audio[2 * self.sent : 2 * (self.sent + step)])
            self.sent += step
        if upto is None:
            await socket.send('{"type": "stop"}')

    async def take(self, socket: ClientConnection, kind: str = "", count: int = 1) -> None:
        """Take messages up to some of a kind, or to the end."""
        while count:
            try:
                message = json.loads(await socket.recv())
            except ConnectionClosed:
                self.heard.code, self.heard.reason = socket.close_code, socket.close_reason or ""
                return
            if message["type"] == "ack":
                assert message["committed"] >= self.acked
                assert message["committed"] <= message["received"] <= self.sent
                self.acked = message["committed"]
            if message["type"] == "commit":
                assert message["id"] == self.have + 1, "each commit comes once, in order"
            self.heard.messages.append(message)
            count -= message["type"] == kind

    async def finish(self, socket: ClientConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.push(socket))
            await self.take(socket)

    @property
    def finals(self) -> list[str]:
        """What was final; after a return it may come again, with the same text, and counts once."""
        return list(dict.fromkeys(self.heard.finals))

    @property
    def said(self) -> str:
        return " ".join(word for word, _, _ in self.heard.words)


def journalled(path: Path) -> Config:
    return Config(journal=JournalConfig(path / "journal.sqlite"))


async def test_a_session_that_can_be_resumed_says_how_and_acknowledges_what_it_has_decided():
    client = Client()
    async with running() as server, client.on(server) as socket:
        await client.finish(socket)

    assert len(client.ready["resume_token"]) == 32
    assert client.ready["resume_from"] == 0
    assert client.finals == TEXTS
    assert client.acked > 0.9 * len(SPEECH)
    assert {message["durable"] for message in client.heard.of("commit")} == {False}, "it is in memory"


async def test_silence_is_acknowledged_while_it_lasts():
    client = Client(silence(20 * SAMPLE_RATE))
    async with asyncio.timeout(30), running() as server, client.on(server) as socket:
        await client.push(socket, 20 * SAMPLE_RATE)
        while client.acked < 10 * SAMPLE_RATE:
            await client.take(socket, "ack")

    assert {*client.heard.kinds} == {"ack"}


async def test_a_client_that_did_not_ask_for_it_sees_nothing_of_it():
    async with running() as server, connected(server) as socket:
        await socket.send('{"type": "start"}')
        ready = await until_heard(socket, "ready")
        await socket.send(s16(SPEECH))
        await socket.send('{"type": "stop"}')
        heard = await listen(socket)

    assert set(ready) == {"type", "session", "model", "sample_rate"}
    assert "ack" not in heard.kinds
    assert not any("durable" in message for message in heard.messages)


@pytest.mark.parametrize("cut", [100, 3333, 9000, 20_001, 33_333, 47_777, 60_000, 80_001])
async def test_a_session_goes_on_after_a_cut_as_if_nothing_had_happened(cut):
    client = Client()
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket, cut)
            await socket.send(b"\x01")  # half a sample
            socket.transport.abort()
        async with client.on(server) as socket:
            assert client.sent <= cut
            await client.finish(socket)

    assert client.finals == TEXTS
    assert not client.heard.of("gap")
    assert client.heard.code == 1000


async def test_the_same_words_at_the_same_times_with_cuts_and_without():
    whole, cut = Client(), Client()
    async with running() as server:
        async with whole.on(server) as socket:
            await whole.finish(socket)
        for place in range(5_000, len(SPEECH), 15_000):
            async with cut.on(server) as socket:
                await cut.push(socket, place)
                socket.transport.abort()
        async with cut.on(server) as socket:
            await cut.finish(socket)

    assert cut.heard.words == whole.heard.words


@pytest.mark.parametrize("cut", [9000, 20_001, 33_333, 60_000, 80_001])
async def test_a_session_goes_on_with_the_next_daemon_where_its_text_ends(tmp_path, cut):
    client = Client()
    for last in (False, True):
        async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
            assert server.audience.find(client.ready["session"]), "its viewers find it under the same name"
            if last:
                await client.finish(socket)
            else:
                await client.push(socket, cut)
                await client.take(socket, "ack", 1 if cut > 10_000 else 0)
                server.stop()
                await client.take(socket)
                assert client.heard.code in {1012, 1006}, "1006 where it had sent more than was read"
                assert not client.heard.of("done")

    assert client.said == " ".join(TEXTS)
    assert " ".join(client.finals) == " ".join(TEXTS)
    assert {message["durable"] for message in client.heard.of("commit")} == {True}
    assert not client.heard.of("gap")


async def test_a_client_that_knows_more_than_the_journal_goes_on_from_what_it_knows(tmp_path):
    client, journal = Client(), tmp_path / "journal.sqlite"
    kept = b""
    for upto in (20_000, 60_000):
        kept = journal.read_bytes() if journal.exists() else b""
        async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
            await client.push(socket, upto)
            await client.take(socket, "ack")
            server.stop()
            await client.take(socket)
    journal.write_bytes(kept)  # its last lines are lost
    async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
        assert client.sent >= client.acked
        await client.finish(socket)

    assert client.said == " ".join(TEXTS)


async def test_what_was_told_after_the_client_was_lost_is_told_when_it_is_back():
    client = Client()
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket)
            socket.transport.abort()
        await until(lambda: server.admission.count == 0 or not server.admission._connections)
        async with client.on(server) as socket:
            await client.finish(socket)

    assert client.finals == TEXTS
    assert client.heard.messages[-1] == {
        "type": "done", "audio": len(SPEECH) / SAMPLE_RATE, "commits": client.have,
    }  # fmt: skip


async def test_audio_that_the_client_has_not_kept_is_one_gap_with_its_true_range():
    client = Client()
    first = SAMPLE_RATE * 4
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        async with client.on(server, first=first) as socket:
            assert client.sent == first
            await client.finish(socket)

    [gap] = client.heard.of("gap")
    assert (gap["start"], gap["end"]) == (20_000 / SAMPLE_RATE, first / SAMPLE_RATE)
    assert client.heard.messages[-1]["audio"] == len(SPEECH) / SAMPLE_RATE


async def test_a_gap_is_journalled_and_told_again(tmp_path):
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        async with client.on(server, first=64_000) as socket:
            await client.take(socket, "gap")
            server.stop()
            await client.take(socket)
    other = Client()
    other.ready = client.ready
    async with running(config=journalled(tmp_path)) as server, other.on(server) as socket:
        await other.take(socket, "gap")

    assert other.heard.of("gap") == client.heard.of("gap")
    assert other.heard.of("commit") == [
        {key: value for key, value in message.items() if key != "lag"} for message in client.heard.of("commit")
    ]


async def test_the_newer_of_two_connections_has_the_session_and_the_older_is_told():
    older, newer = Client(), Client()
    async with running() as server, older.on(server) as first:
        await older.push(first, 20_000)
        await older.take(first, "commit")
        newer.ready, newer.acked, newer.heard.messages = older.ready, older.acked, [*older.heard.messages]
        async with newer.on(server) as second:
            await older.take(first)
            await newer.finish(second)

    assert (older.heard.code, older.heard.messages[-1]["code"]) == (4409, "taken_over")
    assert newer.finals == TEXTS


@pytest.mark.parametrize("wrong", [{"token": "0" * 32}, {"token": ""}, {"session": "nobody"}])
@pytest.mark.parametrize("alive", [True, False])
async def test_whoever_does_not_know_the_token_learns_nothing(wrong, alive):
    client = Client()
    async with running() as server, client.on(server) as socket:
        await (client.push(socket, 20_000) if alive else client.finish(socket))
        async with connected(server) as stranger:
            start = client.start()
            start["resume"] |= wrong
            await stranger.send(json.dumps(start))
            heard = await listen(stranger)
        if alive:
            await client.finish(socket)

    assert heard.kinds == ["error"]
    assert (heard.code, heard.messages[0]["code"]) == (4404, "resume_unknown")
    assert client.finals == TEXTS


async def test_a_session_of_another_journal_is_unknown(tmp_path):
    client = Client()
    async with running(config=journalled(tmp_path / "a")) as server, client.on(server) as socket:
        await client.push(socket, 20_000)
        server.stop()
        await client.take(socket)
    async with running(config=journalled(tmp_path / "b")) as server, connected(server) as socket:
        await socket.send(json.dumps(client.start()))
        assert (await listen(socket)).code == 4404


async def test_a_session_cannot_be_resumed_with_other_audio():
    client = Client()
    async with running() as server, client.on(server), connected(server) as socket:
        await socket.send(json.dumps(client.start() | {"sample_rate": 8000}))
        heard = await listen(socket)
    assert (heard.code, heard.messages[0]["code"]) == (1008, "bad_value")


async def test_a_client_that_does_not_come_back_has_its_session_decided_and_can_still_read_it():
    client = Client()
    async with running(ServerConfig(port=0, resume_s=0.05)) as server:
        async with client.on(server) as socket:
            await client.push(socket, len(SPEECH))
            socket.transport.abort()
        await until(lambda: not server.admission._connections)
        async with client.on(server) as socket:
            await client.finish(socket)
    assert client.finals == TEXTS


async def test_a_server_that_lets_nothing_be_resumed_says_so_by_saying_nothing():
    async with running(ServerConfig(port=0, resume_s=0)) as server, connected(server) as socket:
        await socket.send(json.dumps(START))
        assert "resume_token" not in await until_heard(socket, "ready")


async def test_a_session_without_its_client_keeps_nobody_out_and_is_let_in_again():
    client, other = Client(), Client()
    async with running(ServerConfig(port=0, max_sessions=1)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        await until(lambda: server.admission.count == 0)
        async with other.on(server):
            async with connected(server) as refused:
                await refused.send('{"type": "start"}')
                assert (await listen(refused)).code == 1013
            async with client.on(server) as socket:
                await client.finish(socket)
    assert client.finals == TEXTS


async def test_of_too_many_sessions_without_a_client_the_longest_lost_is_decided_first():
    clients = [Client() for _ in range(4)]
    async with running(ServerConfig(port=0, max_sessions=2)) as server:
        for turn, waiting in [(0, {0}), (1, {0, 1}), (0, {0, 1}), (2, {0, 2}), (3, {2, 3})]:
            async with clients[turn].on(server) as socket:
                await clients[turn].push(socket, 20_000)
                socket.transport.abort()
            await until(lambda: server.admission.count == 0)
            left = {clients[n].ready["session"] for n in waiting}
            await until(lambda left=left: len(server.admission._connections) == len(left))
            assert server._lobby._seats.keys() == left


async def test_a_journal_that_cannot_be_written_is_said_on_every_commit_and_by_readyz(tmp_path):
    (tmp_path / "file").write_text("in the way")
    client = Client()
    async with running(config=Config(journal=JournalConfig(tmp_path / "file" / "journal"))) as server:
        async with client.on(server) as socket:
            await client.finish(socket)
        status, body = await get(server, "/readyz")
    assert client.finals == TEXTS
    assert {message["durable"] for message in client.heard.of("commit")} == {False}
    assert (status, json.loads(body)["journal"]) == (200, "failing")


@given(st.integers(8_000, 48_000), st.integers(0, 10**9))
def test_places_of_both_sides_are_one_sample_apart_at_most(rate, frame):
    offsets = Offsets(rate)
    assert 2 * abs(offsets.samples(frame) * rate - frame * SAMPLE_RATE) <= rate, "half a sample, in whole numbers"
    assert offsets.frames(offsets.samples(frame)) <= frame + max(1, rate // SAMPLE_RATE)
    assert offsets.frames(frame) * SAMPLE_RATE <= frame * rate < (offsets.frames(frame) + 1) * SAMPLE_RATE


@pytest.fixture
def disk(monkeypatch) -> Iterator[threading.Event]:
    """A disk that answers while this is set."""
    answers = threading.Event()
    answers.set()
    serve = Scribe._serve

    def slow(self: Scribe, items: list[Item]) -> None:
        answers.wait()
        serve(self, items)

    monkeypatch.setattr(Scribe, "_serve", slow)
    monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 0.01)
    yield answers
    answers.set()


def lose(path: Path, how: str, disk: threading.Event) -> None:
    """Let something happen to a journal."""
    match how:
        case "hangs":
            disk.clear()
        case "is removed":
            (path / "journal.sqlite").unlink()
        case "is corrupt":
            for file in path.glob("journal.sqlite*"):
                if not file.name.endswith(".lock"):
                    with file.open("r+b") as opened:  # in place: memory mapped to a file cut short is a bus error
                        opened.write(os.urandom(file.stat().st_size))


async def leave_with_more_to_come(
    client: Client, server: Server, socket: ClientConnection, trouble: Callable[[], None]
):
    """Take one commit of a session and go when there are more; something happens to the journal meanwhile."""
    await client.push(socket, 20_000)
    await client.take(socket, "commit", 1)
    trouble()
    await client.push(socket, 60_000)
    record = server._lobby._seats[client.ready["session"]].record
    await until(lambda: any((entry.commit or 0) >= 5 for entry in record._tail))
    socket.transport.abort()


@pytest.mark.parametrize("how", ["hangs", "is removed", "is corrupt"])
async def test_what_was_told_while_the_client_was_away_is_told_though_the_journal(how, tmp_path, disk):
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await leave_with_more_to_come(client, server, socket, lambda: lose(tmp_path, how, disk))
        async with client.on(server) as socket:
            assert client.sent == 60_000
            disk.set()
            await client.finish(socket)

    assert client.said == " ".join(TEXTS)
    assert not client.heard.of("gap")


async def test_a_client_that_has_missed_more_than_can_be_had_at_the_moment_is_asked_to_try_later(
    tmp_path, disk, monkeypatch
):
    monkeypatch.setattr("streamer.connection.record.TAIL", 2)
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await leave_with_more_to_come(client, server, socket, lambda: lose(tmp_path, "hangs", disk))
        async with connected(server) as socket:
            await socket.send(json.dumps(client.start()))
            heard = await listen(socket)
            assert (heard.kinds, heard.messages[0]["code"], heard.code) == (["error"], "not_ready", 1013)
        disk.set()
        monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 10.0)
        async with client.on(server) as socket:
            await client.finish(socket)

    assert client.said == " ".join(TEXTS)


async def test_a_client_that_comes_back_while_the_last_lines_are_written_hears_them_and_that_it_is_done(monkeypatch):
    last, answers = threading.Event(), threading.Event()
    serve = Scribe._serve

    def slow(self: Scribe, items: list[Item]) -> None:
        if any(isinstance(item.work, Note) and item.work.settled >= len(SPEECH) for item in items):
            last.set()
            answers.wait()
        serve(self, items)

    monkeypatch.setattr(Scribe, "_serve", slow)
    client, recognizer = Client(), GatedRecognizer()
    async with running(recognizer=recognizer) as server:
        async with client.on(server) as socket:
            await client.push(socket)
            [connection] = server.admission._connections
            await until(lambda: connection._reader.ending is not None)
            socket.transport.abort()
        await until(lambda: server._lobby.waiting == 1)
        [seat] = server._lobby._seats.values()
        recognizer.gate.set()
        try:
            await until(last.is_set)
            async with connected(server) as socket:
                await socket.send(json.dumps(client.start()))
                await until(lambda: seat.expected)
                answers.set()
                heard = await listen(socket)
        finally:
            answers.set()

    assert (heard.kinds[0], heard.kinds[-1], heard.code) == ("ready", "done", 1000)
    assert " ".join(word for word, _, _ in heard.words) == " ".join(TEXTS)


@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize("bad", ['{"type": "nonsense"}', b"\x01", '{"type": "start"}'])
async def test_what_is_wrong_with_the_first_messages_is_said_whether_or_not_a_session_can_be_resumed(resumable, bad):
    async with running() as server, connected(server) as socket:
        await socket.send(json.dumps({"type": "start", "encoding": "pcm_s16le", "resumable": resumable}))
        await socket.send(bad)
        await socket.send('{"type": "nonsense"}')
        heard = await listen(socket)

    assert heard.kinds[-1] == "error"
    expected = {"bad_message": 1007, "unexpected_message": 1008}
    assert heard.code == expected[heard.messages[-1]["code"]]


async def test_a_client_that_knows_the_session_by_an_older_journals_name_comes_back_to_the_next_daemon(tmp_path):
    client = Client()
    async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
        await client.push(socket, 20_000)
        await client.take(socket, "commit", 1)
        (tmp_path / "journal.sqlite").unlink()
        await client.push(socket, 60_000)
        await client.take(socket, "commit", 3)
        assert client.ready["epoch"] != server.journal.epoch, "it is not told so"
    async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
        await client.finish(socket)


async def test_a_session_is_counted_once_however_often_its_client_comes_back_and_a_refused_one_not_at_all():
    client = Client()
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        async with client.on(server) as socket:
            await client.finish(socket)
        async with connected(server) as socket:
            await socket.send('{"type": "nonsense"}')
            await listen(socket)
        opened = await metric(server, "streamer_sessions_opened_total")

    assert opened == 1


async def test_what_went_with_the_journal_and_can_never_be_had_is_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr("streamer.connection.record.TAIL", 2)
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 60_000)
            await client.take(socket, "commit", 5)
            socket.transport.abort()
        (tmp_path / "journal.sqlite").unlink()
        async with connected(server) as socket:
            late = client.start()
            late["resume"] |= {"have": 1, "covered": 9_000}
            await socket.send(json.dumps(late))
            ready = await until_heard(socket, "ready")
            gap, *rest = [json.loads(await socket.recv()) for _ in range(3)]

    assert ready["epoch"] == server.journal.epoch != client.ready["epoch"]
    assert gap["type"] == "gap"
    assert "lost with the server's journal" in gap["reason"]
    assert gap["start"] == 9_000 / SAMPLE_RATE
    assert gap["end"] == rest[0]["end" if rest[0]["type"] == "final" else "start"]
    assert [message["type"] for message in rest if message["type"] == "gap"] == []


async def test_a_client_that_comes_back_after_the_journal_was_lost_can_come_back_to_the_next_daemon(tmp_path):
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            await client.take(socket, "commit", 1)
            (tmp_path / "journal.sqlite").unlink()
            socket.transport.abort()
        async with client.on(server) as socket:
            await client.push(socket, 60_000)
            await client.take(socket, "ack")
    async with running(config=journalled(tmp_path)) as server, client.on(server) as socket:
        await client.finish(socket)

    assert client.said == " ".join(TEXTS)


@pytest.mark.parametrize("name", ["have", "covered", "first"])
@pytest.mark.parametrize(
    "value", [2**48 + 1, 10**19, 10**400], ids=["a little", "too much for a journal", "for a float"]
)
async def test_a_claim_that_cannot_be_is_refused_and_costs_nobody_anything(name, value):
    client = Client()
    async with running() as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        async with connected(server) as socket:
            start = client.start()
            start["resume"] |= {name: value}
            await socket.send(json.dumps(start))
            heard = await listen(socket)
        assert (heard.kinds, heard.code, heard.messages[0]["code"]) == (["error"], 1008, "bad_value")
        assert f"resume.{name} must be at most {2**48}, got {str(value)[:80]}" in heard.messages[0]["message"]
        async with client.on(server) as socket:
            await client.finish(socket)
    assert client.finals == TEXTS


async def test_a_client_cannot_have_more_than_was_said():
    client = Client()
    async with running() as server, client.on(server) as socket:
        await client.push(socket, 20_000)
        await client.take(socket, "commit", 1)
        async with connected(server) as other:
            start = client.start()
            start["resume"]["have"] = 1_000
            await other.send(json.dumps(start))
            heard = await listen(other)
        await client.finish(socket)
    assert heard.messages[0]["message"].startswith("resume.have must be at most ")
    assert (client.finals, client.heard.code) == (TEXTS, 1000)


async def test_a_stream_may_go_on_after_the_longest_gap_there_is(tmp_path):
    client = Client()
    async with running(config=journalled(tmp_path)) as server:
        async with client.on(server) as socket:
            await client.push(socket, 20_000)
            socket.transport.abort()
        async with client.on(server, first=2**48) as socket:
            assert client.sent == 2**48
            await socket.send(client.audio)
            await socket.send('{"type": "stop"}')
            client.sent += len(SPEECH)
            await client.take(socket)
        assert await get(server, f"/v1/sessions/{client.ready['session']}.vtt")
        assert server.journal.dropped == 0
        assert not server._lobby._seats
    assert client.heard.of("gap")[-1]["end"] == 2**48 / SAMPLE_RATE
    assert client.finals[-4:] == TEXTS
    assert {message["durable"] for message in client.heard.of("commit")} == {True}


async def test_a_session_whose_end_fails_is_found_in_the_journal_and_holds_nobody(monkeypatch, caplog):
    client = Client()
    end = Broadcast.end

    def failing(self: Broadcast, ended: str, audio: int, **_: object) -> None:
        del self, ended
        monkeypatch.setattr(Broadcast, "end", end)
        raise OverflowError(f"a fault of ours at {audio}")

    async with running() as server, client.on(server) as first:
        await client.push(first, 20_000)
        await client.take(first, "commit", 1)
        monkeypatch.setattr(Broadcast, "end", failing)
        async with client.on(server) as socket:
            await socket.send("nonsense")
            await client.take(socket)
        assert client.heard.code == 1007
        await until(lambda: not server.admission._connections)
        assert not server._lobby._seats
        async with client.on(server) as socket:
            await client.finish(socket)
    assert "a fault of ours" in caplog.text
    assert client.said == " ".join(TEXTS)


async def test_an_older_client_that_cannot_be_told_is_nothing_to_the_newer_one(monkeypatch, caplog):
    older, newer = Client(), Client()
    async with running() as server, older.on(server) as first:
        await older.push(first, 20_000)
        await older.take(first, "commit")
        [connection] = server.admission._connections
        monkeypatch.setattr(connection._wire._current, "wire", Unspeakable(connection._wire._current.wire))
        newer.ready, newer.acked, newer.heard.messages = older.ready, older.acked, [*older.heard.messages]
        async with newer.on(server) as second:
            await newer.finish(second)
        await until(lambda: not server.admission._connections)
    assert newer.finals == TEXTS
    assert "a fault of ours" in caplog.text


class Unspeakable:
    """A wire that fails when a client is told that another one has come."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, message: Message) -> None:
        if "taken_over" in str(message):
            raise RuntimeError("a fault of ours")
        await self._wire.send(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


async def test_whoever_comes_back_to_a_session_that_is_being_decided_to_its_end_is_asked_to_try_later(
    gated: GatedRecognizer,
):
    client = Client()
    settings = ServerConfig(port=0, resume_s=0.01, drain_timeout_s=3600)
    async with running(settings, gated) as server:
        async with client.on(server) as socket:
            await client.push(socket, 30_000)
            await until(lambda: server.engine.waiting_since is not None)
            socket.transport.abort()
        seat = server._lobby._seats[client.ready["session"]]
        await until(lambda: seat.line.gone)
        async with connected(server) as socket:
            await socket.send(json.dumps(client.start()))
            heard = await listen(socket)
        assert (heard.kinds, heard.code, heard.messages[0]["code"]) == (["error"], 1013, "not_ready")
        gated.gate.set()
        await until(lambda: not server._lobby._seats)
        async with client.on(server) as socket:
            await client.finish(socket)
    assert client.said == " ".join(TEXTS)


async def test_a_server_that_goes_away_lets_nobody_back_to_its_sessions(gated: GatedRecognizer):
    client = Client()
    settings = ServerConfig(port=0, drain_timeout_s=3600)
    async with running(settings, gated) as server, client.on(server) as socket:
        await client.push(socket, 30_000)
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        await until(lambda: server.admission.draining)
        heard = await converse(server, [client.start()])
        gated.gate.set()
        await client.take(socket)

    assert (heard.kinds, heard.messages[0]["code"], heard.code) == (["error"], "shutting_down", 1012)
    assert client.heard.code == 1012


@pytest.mark.parametrize("journal", [None, "journal", "file/journal"], ids=["in memory", "on the disk", "failing"])
async def test_only_a_session_that_the_next_daemon_will_know_is_left_undecided(tmp_path, journal):
    (tmp_path / "file").write_text("in the way")
    config = Config(journal=JournalConfig(tmp_path / journal if journal else None))
    client = Client()
    async with running(config=config) as server, client.on(server) as socket:
        await client.push(socket, 20_000)
        [connection] = server.admission._connections
        await until(lambda: connection._session.received == 20_000)
        server.stop()
        await client.take(socket)

    assert (client.heard.kinds[-1], client.heard.code) == ("error" if journal == "journal" else "done", 1012)


async def test_a_client_whose_session_is_looked_up_while_the_server_goes_away_is_told_so(monkeypatch):
    client, standing = Client(), Lobby.standing
    async with asyncio.timeout(30), running(ServerConfig(port=0, drain_timeout_s=3600)) as server:

        async def late(self: Lobby, claim: Claim) -> Standing:
            server.stop()
            await until(lambda: server.admission.draining)
            return await standing(self, claim)

        async with client.on(server) as socket:
            await client.finish(socket)
        await until(lambda: not server._lobby._seats)
        monkeypatch.setattr(Lobby, "standing", late)
        heard = await converse(server, [client.start()])

    assert (heard.messages[-1]["code"], heard.code) == ("shutting_down", 1012)


async def test_a_client_that_came_too_late_to_be_answered_is_asked_to_try_later(gated: GatedRecognizer):
    """Its session is behind, and reads nothing, also not that the client has come back, when the daemon ends."""
    older, newer = Client(np.tile(speak(range(1, 40)), 10)), Client()
    config = Config(server=ServerConfig(port=0), session=SessionConfig(max_backlog_ms=35_000))
    async with (
        running(ServerConfig(port=0, drain_timeout_s=3600), gated, config) as server,
        older.on(server) as first,
        asyncio.TaskGroup() as group,
    ):
        pushing = group.create_task(older.push(first, 40 * SAMPLE_RATE))
        [connection] = server.admission._connections
        await until(lambda: connection._reader is not None and connection._reader._full)
        newer.ready = older.ready
        async with connected(server) as second:
            await second.send(json.dumps(newer.start()))
            await older.take(first)
            assert older.heard.messages[-1]["code"] == "taken_over"
            server.stop()
            await until(lambda: server.admission.draining)
            server.stop()
            heard = await listen(second)
        pushing.cancel()
    assert (heard.kinds, heard.code, heard.messages[0]["code"]) == (["error"], 1013, "not_ready")
