"""A stream that outlives its connections, through a proxy that cuts them and daemons that end."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from clients import news, resuming, resuming_stream, return_path
from clients.backoff import STEPS_S, Backoff
from clients.connection import ENCODER, Stream
from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.patience import LASTING_S, Patience
from clients.pcm import pcm_s16le
from clients.prospects import MOST_FAULTS
from clients.received import FromServer
from clients.resuming import connect_resuming
from clients.resuming_stream import ResumingStream
from clients.ring import Ring
from model.types import SAMPLE_RATE, Samples
from streamer.config import Config, JournalConfig, ServerConfig
from streamer.core.audio import Encoding
from streamer.protocols import messages
from streamer.server import Server
from tests.clients.proxy import Proxy, proxied
from tests.streamer.harness import LOCAL, GatedRecognizer, running, sentence, until

WORDS = [[1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12, 13, 14], [15, 16, 17]]
SPEECH = np.concatenate([sentence(*words) for words in WORDS])
SAID = " ".join(f"w{word}" for words in WORDS for word in words)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits here for a connection to be tried again."""
    monkeypatch.setattr("clients.backoff.STEPS_S", (0.0, 0.001, 0.01))


@dataclass
class Shown:
    """What a user sees."""

    messages: list[FromServer] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def commits(self) -> list[messages.Commit]:
        return [message for message in self.messages if isinstance(message, messages.Commit)]

    @property
    def said(self) -> str:
        return " ".join(word.text for commit in self.commits for word in commit.words)

    @property
    def finals(self) -> list[str]:
        return [message.text for message in self.messages if isinstance(message, messages.Final)]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        return [(message.start, message.end) for message in self.messages if isinstance(message, messages.Gap)]

    def check(self, said: str = SAID) -> None:
        """Each commit once, in order, none lost: nothing said twice, nothing not at all."""
        assert [commit.id for commit in self.commits] == list(range(1, len(self.commits) + 1))
        assert self.said == said
        assert " ".join(self.finals) == said
        assert isinstance(self.messages[-1], messages.Done)


@asynccontextmanager
async def opened(proxy: Proxy, shown: Shown, **options: Any) -> AsyncIterator[ResumingStream]:
    async with connect_resuming(f"ws://127.0.0.1:{proxy.listening}", notice=shown.notices.append, **options) as stream:
        yield stream


async def speak(stream: ResumingStream, audio: Samples) -> None:
    for at in range(0, len(audio), 1600):
        await stream.send_audio(audio[at : at + 1600])
    await stream.stop()


async def show(stream: ResumingStream, shown: Shown) -> None:
    async for message in stream:
        shown.messages.append(message)


async def converse(stream: ResumingStream, shown: Shown, audio: Samples = SPEECH) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(speak(stream, audio))
        await show(stream, shown)


async def test_without_trouble_it_is_a_stream_like_any_other():
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await converse(stream, shown)
    shown.check()
    assert shown.notices == []
    assert not [message for message in shown.messages if isinstance(message, messages.Ack)]


@pytest.mark.parametrize("seed", range(6))
async def test_random_cuts_lose_double_and_change_nothing(seed):
    chance, shown = random.Random(seed), Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        async with asyncio.TaskGroup() as group:
            group.create_task(speak(stream, SPEECH))

            async def cut() -> None:
                for _ in range(6):
                    proxy.cut_at = proxy.passed + chance.randrange(2 * len(SPEECH) // 5)
                    await until(lambda: proxy.cut_at is None or stream._over)

            cutting = group.create_task(cut())
            await show(stream, shown)
            cutting.cancel()
        assert proxy.cuts
    shown.check()
    assert not shown.gaps


async def test_a_half_closed_connection_is_a_lost_one():
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await stream.send_audio(SPEECH[:30_000])
        await until(lambda: proxy.passed > 60_000)
        proxy.half_close()
        await until(lambda: len(shown.notices) == 2)
        await converse(stream, shown, SPEECH[30_000:])
    shown.check()


async def test_audio_of_several_channels_goes_on_where_it_was_cut():
    shown = Shown()
    stereo = pcm_s16le(np.repeat(SPEECH, 2))
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, channels=2) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(stereo[: len(stereo) // 2])
        await until(lambda: bool(shown.commits))
        proxy.reset()
        await stream.send_audio(stereo[len(stereo) // 2 :])
        await stream.stop()
        await reading
    shown.check()
    assert len(shown.notices) == 2


async def test_no_audio_at_all_is_a_sign_of_life_and_audio_needs_none_beside_it():
    ready = messages.Ready("s", "m", SAMPLE_RATE, resume_token="t", epoch="e")
    stream = ResumingStream(messages.Start(), ready, live=False, notice=print, give_up_s=None, attempt_s=1.0)
    await stream.send_audio(b"")
    assert [stream._outgoing.take(None) for _ in range(2)] == [b"", None]
    await stream.send_audio(b"ab")
    assert [stream._outgoing.take(None) for _ in range(2)] == [b"ab", None]


async def test_a_server_that_does_not_answer_pings_is_left(monkeypatch):
    monkeypatch.setattr(resuming, "HEARTBEAT_S", 0.05)
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await stream.send_audio(SPEECH[:30_000])
        proxy.hold()
        await until(lambda: bool(shown.notices))
        monkeypatch.setattr(resuming, "HEARTBEAT_S", 5.0)
        proxy.release()
        await converse(stream, shown, SPEECH[30_000:])
    shown.check()


@pytest.mark.parametrize("cut", [20_000, 33_333, 70_001, 100_000])
async def test_captions_go_on_with_the_next_daemon_and_that_is_said_once(tmp_path, cut):
    shown, config = Shown(), Config(journal=JournalConfig(tmp_path / "journal.sqlite"))
    async with proxied(0) as proxy:
        async with running(config=config) as server:
            proxy.port = server.port
            stack = opened(proxy, shown, live=True)
            stream = await stack.__aenter__()
            reading = asyncio.ensure_future(show(stream, shown))
            await stream.send_audio(SPEECH[:cut])
            await until(lambda: bool(shown.commits))
            proxy.port = 0
            server.stop()
        await stream.send_audio(SPEECH[cut:])
        await stream.stop()
        async with running(config=config) as server:
            proxy.port = server.port
            await reading
            await stack.__aexit__(None, None, None)
    shown.check()
    assert not shown.gaps
    assert ["lost" in shown.notices[0], shown.notices[1:]] == [True, ["connected again"]]


async def test_without_a_journal_on_the_disk_the_next_daemon_begins_anew_and_captions_count_on():
    shown = Shown()
    async with proxied(0) as proxy:
        async with running() as server:
            proxy.port = server.port
            stack = opened(proxy, shown, live=True)
            stream = await stack.__aenter__()
            reading = asyncio.ensure_future(show(stream, shown))
            await stream.send_audio(SPEECH[:60_000])
            await until(lambda: len(shown.finals) == 1)
            proxy.port = 0
            proxy.reset()
            await until(lambda: server._lobby.waiting == 1)
            server.admission.cut()
            server.stop()
        async with running() as server:
            proxy.port = server.port
            await stream.send_audio(SPEECH[60_000:])
            await stream.stop()
            await reading
            await stack.__aexit__(None, None, None)
    assert [commit.id for commit in shown.commits] == list(range(1, len(shown.commits) + 1))
    assert shown.said == SAID
    done = shown.messages[-1]
    assert isinstance(done, messages.Done)
    assert (done.audio, done.commits) == (pytest.approx(len(SPEECH) / SAMPLE_RATE, abs=1e-3), len(shown.commits))


@pytest.mark.parametrize(("away_s", "lost_s"), [(60, 0), (90, 15)])
async def test_a_cut_of_a_minute_loses_nothing_and_a_longer_one_exactly_what_is_beyond(away_s, lost_s):
    """The stream's own time: what comes while there is no connection is pushed as fast as it is taken."""
    shown = Shown()
    before, after = SPEECH, SPEECH
    away = np.resize(np.concatenate([sentence(20, 21, 22)] * 2), away_s * SAMPLE_RATE).astype(np.float32)
    async with running() as server, proxied(server.port) as proxy:  # noqa: SIM117  # read from the outside in
        async with opened(proxy, shown, live=True) as stream:
            reading = asyncio.ensure_future(show(stream, shown))
            await stream.send_audio(before)
            await until(lambda: len(shown.finals) == len(WORDS))
            await until(lambda: stream._outgoing.next == len(before))
            proxy.port = 0
            proxy.reset()
            await until(lambda: server._lobby.waiting == 1)
            await stream.send_audio(away)
            proxy.port = server.port
            await until(lambda: len(shown.notices) == 2)
            for at in range(0, len(after), 1600):  # in time, not all at once
                await until(lambda: stream._outgoing.has_room)
                await stream.send_audio(after[at : at + 1600])
            await stream.stop()
            await reading
    begin = len(before) / SAMPLE_RATE
    assert shown.gaps == ([(begin, begin + lost_s)] if lost_s else [])
    assert [commit.id for commit in shown.commits] == list(range(1, len(shown.commits) + 1))
    assert shown.said.startswith(SAID)
    assert shown.said.endswith(SAID)
    done = shown.messages[-1]
    assert isinstance(done, messages.Done)
    assert done.audio == (len(before) + len(away) + len(after)) / SAMPLE_RATE


@pytest.mark.parametrize("known", [True, False], ids=["a session that goes on", "a session that is not known any more"])
async def test_after_a_long_cut_captions_go_on_at_once_although_more_is_said_on_the_way(
    known: bool, monkeypatch: pytest.MonkeyPatch
):
    dial, attempts, shown = resuming.dial, itertools.count(), Shown()

    @asynccontextmanager
    async def far(url: str, start: messages.Start, **options: Any) -> AsyncIterator[Stream]:
        if next(attempts):
            await stream.send_audio(np.zeros(SAMPLE_RATE, np.float32))
            if start.resume and not known:
                raise StreamError("resume_unknown", "never heard of it")
        async with dial(url, start, **options) as opened_stream:
            yield opened_stream

    monkeypatch.setattr(resuming, "dial", far)
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, live=True) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(SPEECH)
        await until(lambda: len(shown.finals) == len(WORDS))
        await until(lambda: stream._outgoing.next == len(SPEECH))
        proxy.port = 0
        proxy.reset()
        await until(lambda: server._lobby.waiting == 1)
        await stream.send_audio(np.zeros(200 * SAMPLE_RATE, np.float32))
        proxy.port = server.port
        await until(lambda: shown.notices[-1:] == ["connected again"])
        async with asyncio.timeout(30):
            await until(lambda: stream._outgoing.has_room)
            await speak(stream, SPEECH)
            await reading
    assert (len(shown.gaps), len(shown.notices)) == (1, 2)
    assert shown.said == f"{SAID} {SAID}"


async def test_a_flush_is_answered_although_the_connection_was_lost_before():
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        proxy.hold()
        await stream.send_audio(SPEECH[:20_000])
        await stream.flush("here")
        proxy.reset()
        proxy.release()
        await until(lambda: messages.Flushed("here") in shown.messages)
        await stream.stop()
        await reading
    assert shown.messages.count(messages.Flushed("here")) == 1


async def test_a_flush_that_is_answered_twice_is_shown_once_and_answers_no_other(gated: GatedRecognizer):
    shown = Shown()
    async with running(recognizer=gated) as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(SPEECH[:20_000])
        await stream.flush("same")
        [connection] = server.admission._connections
        await until(lambda: connection._session is not None and connection._session._agenda.deferred == 1)
        proxy.reset()
        await until(lambda: shown.notices[-1:] == ["connected again"])
        await until(lambda: connection._session._agenda.deferred == 2)  # the same flush: the server has it twice
        gated.gate.set()
        await until(lambda: messages.Flushed("same") in shown.messages)
        await stream.send_audio(SPEECH[20_000:])
        await stream.flush("same")
        await until(lambda: shown.messages.count(messages.Flushed("same")) == 2)
        assert len(shown.commits) > len(WORDS[0])
        assert stream._outgoing.next == len(SPEECH), (
            "the second answer is to the second flush, which comes after everything"
        )
        await stream.stop()
        await reading
    assert [one.id for one in shown.messages if isinstance(one, messages.Flushed)] == ["same", "same"]


async def test_a_reader_that_is_slow_loses_no_text_when_the_connection_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(news, "QUEUED_MESSAGES", 2)
    shown = Shown()
    options = {"live": True, "partials": False}
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, **options) as stream:
        await stream.send_audio(SPEECH[:30_000])
        queue = stream._news._queue._queue  # type: ignore[attr-defined]
        # One is counted as had, and there is no room for it.
        await until(lambda: stream._receipts.commit > sum(isinstance(one, messages.Commit) for one in queue))
        await stream.send_audio(np.zeros(110 * SAMPLE_RATE, np.float32))
        await until(lambda: bool(shown.notices))
        assert "too far behind" in shown.notices[0]
        await stream.stop()
        await show(stream, shown)
    assert [commit.id for commit in shown.commits] == list(range(1, len(shown.commits) + 1))
    assert shown.said == "w1 w2 w3 w4"


@pytest.mark.parametrize("rest", [b"", b"\0"], ids=["whole frames", "half a frame"])
async def test_a_stop_that_the_server_had_is_sent_again_and_answered(rest: bytes, gated: GatedRecognizer):
    shown = Shown()
    async with running(recognizer=gated) as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(sentence(*WORDS[0]))
        await stream.flush("here")
        await stream.send_audio(pcm_s16le(SPEECH[len(sentence(*WORDS[0])) :]) + rest)
        await stream.stop()
        [connection] = server.admission._connections
        await until(lambda: connection._reader is not None and connection._reader.ending is not None)
        proxy.reset()
        await until(lambda: shown.notices[-1:] == ["connected again"])
        gated.gate.set()
        if rest:
            with pytest.raises(StreamError, match="incomplete"):
                await reading
        else:
            await reading
            shown.check()
    assert shown.messages.count(messages.Flushed("here")) == 1


async def test_the_done_of_a_server_that_ends_while_stop_is_on_its_way_is_not_the_last():
    """Without a journal on the disk a daemon decides what it has, says `done` for it, and never reads the rest."""
    shown = Shown()
    async with proxied(0) as proxy:
        async with running() as server:
            proxy.port = server.port
            stack = opened(proxy, shown)
            stream = await stack.__aenter__()
            reading = asyncio.ensure_future(show(stream, shown))
            await stream.send_audio(SPEECH[:30_000])
            await until(lambda: bool(shown.commits))
            proxy.hold()
            await stream.send_audio(SPEECH[30_000:])
            await stream.flush("the end")
            await stream.stop()
            await until(lambda: stream._outgoing.stopped)
            server.stop()
            await until(lambda: not server.admission._connections)
            proxy.port = 0
            proxy.release()
            await until(lambda: bool(shown.notices) or reading.done())
        async with running() as server:
            proxy.port = server.port
            await reading
            await stack.__aexit__(None, None, None)
    done = shown.messages[-1]
    assert isinstance(done, messages.Done)
    assert done.audio == len(SPEECH) / SAMPLE_RATE
    assert shown.said == SAID
    assert "restarting" in shown.notices[0]
    assert shown.messages.count(messages.Flushed("the end")) == 1


@pytest.mark.parametrize(("rate", "frames"), [(44_100, 44_101), (11_025, 9_999), (48_000, 48_001), (8_000, 7_777)])
async def test_a_server_that_ends_with_everything_but_the_stop_is_not_come_back_to(rate: int, frames: int):
    """Although its `done` is rounded to a sample."""
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, sample_rate=rate) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(np.zeros(frames, np.float32))
        [connection] = server.admission._connections
        await until(lambda: connection._codec.received == frames)
        proxy.hold()
        await stream.stop()
        await until(lambda: stream._outgoing.stopped)
        server.stop()
        await until(lambda: not server.admission._connections)
        proxy.release()
        await reading
    assert isinstance(shown.messages[-1], messages.Done)
    assert not shown.notices


async def test_a_done_that_answers_stop_is_the_last_whatever_it_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resuming_stream, "ROUNDING_S", -1.0)
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await converse(stream, shown)
    shown.check()
    assert not shown.notices


async def test_a_sign_of_life_just_before_stop_ends_nothing():
    """Readers give an empty piece at the end of a file, for instance."""
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        reading = asyncio.ensure_future(show(stream, shown))
        await stream.send_audio(SPEECH)
        await until(lambda: stream._outgoing.next == len(SPEECH))
        await stream.send_audio(b"")
        await stream.stop()
        await reading
    shown.check()


async def test_whoever_is_taken_over_does_not_come_back():
    shown, other = Shown(), Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await stream.send_audio(SPEECH[:20_000])
        async with resuming.dial(f"ws://127.0.0.1:{proxy.listening}", stream._request()):
            with pytest.raises(StreamError) as caught:
                await show(stream, other)
            with pytest.raises(ConnectionLost):
                await stream.send_audio(SPEECH)
    assert caught.value.code == "taken_over"
    assert not shown.notices


async def test_an_attempt_of_its_own_that_comes_late_does_not_end_a_stream(monkeypatch: pytest.MonkeyPatch):
    dial, late, shown = resuming.dial, list[messages.Start](), Shown()

    @asynccontextmanager
    async def flaky(url: str, start: messages.Start, **options: Any) -> AsyncIterator[Stream]:
        """Lose the first attempt to come back after its `start` has left."""
        if start.resume and not late:
            late.append(start)
            raise ConnectionLost("the connection broke")
        async with dial(url, start, **options) as stream:
            yield stream

    monkeypatch.setattr(resuming, "dial", flaky)
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await stream.send_audio(SPEECH[:20_000])
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(show(stream, shown))
            proxy.reset()
            await until(lambda: shown.notices[-1:] == ["connected again"])
            with suppress(StreamError):  # the stream may be back before the late attempt has its answer
                async with dial(f"ws://127.0.0.1:{server.port}", late[0]):
                    await until(lambda: len(shown.notices) == 4 or showing.done())
            await until(lambda: len(shown.notices) == 4 or showing.done())
            await speak(stream, SPEECH[20_000:])
    shown.check()


async def test_a_server_that_takes_a_connection_and_says_nothing_is_tried_again():
    """And that attempt may be heard late: it is one of its own that takes the session over then."""
    ready = messages.Ready("s", "m", SAMPLE_RATE, resume_token="t", epoch="e", resume_from=0)
    fate, heard, shown = iter(["breaks", "silent", "taken over", "good"]), list[messages.Start](), Shown()

    async def serve(socket: ServerConnection) -> None:
        heard.append(msgspec.json.decode(await socket.recv(), type=messages.Start))
        fates.append(next(fate))
        if fates[-1] == "silent":
            await socket.wait_closed()
            return
        await socket.send(ENCODER.encode(ready).decode())
        match fates[-1]:
            case "breaks":
                socket.transport.abort()
            case "taken over":
                await socket.send(ENCODER.encode(messages.Error("taken_over", "elsewhere")).decode())
            case "good":
                await socket.recv()
                await socket.send(ENCODER.encode(messages.Done(0.0, 0)).decode())

    fates: list[str] = []
    async with serve_websocket(serve, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect_resuming(address, notice=shown.notices.append, open_timeout_s=0.5) as stream:
            await stream.stop()
            await show(stream, shown)
    assert fates == ["breaks", "silent", "taken over", "good"]
    assert [start.resume is not None for start in heard] == [False, True, True, True]
    assert shown.messages == [messages.Done(0.0, 0)]


async def test_a_server_that_stays_silent_is_given_up():
    ready = messages.Ready("s", "m", SAMPLE_RATE, resume_token="t", epoch="e", resume_from=0)
    connections = itertools.count()

    async def serve(socket: ServerConnection) -> None:
        await socket.recv()
        if next(connections):
            await socket.wait_closed()
        else:
            await socket.send(ENCODER.encode(ready).decode())
            socket.transport.abort()

    async with serve_websocket(serve, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect_resuming(address, give_up_s=0.1, open_timeout_s=0.3) as stream:
            with pytest.raises(ConnectionLost, match="gave up after"):
                await show(stream, Shown())


def failing_vads(server: Server, frames: int, times: int | None) -> Callable[[int], Any]:
    """Make voice detectors that fail after so many frames, so many times, or always."""
    make, left = server.switchboard.make_vad, itertools.count(0)

    def make_vad(aggressiveness: int) -> Any:
        good, number, heard = make(aggressiveness), next(left), itertools.count()
        if times is not None and number >= times:
            return good
        return lambda frame: 1 / 0 if next(heard) >= frames else good(frame)

    return make_vad


async def test_a_fault_of_the_server_costs_no_word(monkeypatch: pytest.MonkeyPatch):
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy:
        monkeypatch.setattr(server.switchboard, "make_vad", failing_vads(server, 100, times=2))
        async with opened(proxy, shown) as stream:
            await converse(stream, shown)
    assert len([notice for notice in shown.notices if "internal" in notice]) == 2
    shown.check()


async def check_that_it_is_told(server: Server, kind: type[Exception], fault: str) -> None:
    """Stream to a server that has this fault each time: as often as it may, and then the client ends with it."""
    shown = Shown()
    async with proxied(server.port) as proxy:
        with pytest.raises(ExceptionGroup) as caught:
            async with opened(proxy, shown) as stream:
                await converse(stream, shown)
    told = caught.value.subgroup(kind)
    assert told is not None
    assert fault in str(told.exceptions)
    assert len([notice for notice in shown.notices if fault in notice]) == MOST_FAULTS - 1


async def test_a_fault_that_comes_at_the_same_place_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch):
    async with running() as server:
        monkeypatch.setattr(server.switchboard, "make_vad", failing_vads(server, 5, times=None))
        await check_that_it_is_told(server, StreamError, "internal")


async def test_a_server_that_finds_fault_with_what_is_sent_again_and_again_is_told():
    async with running(ServerConfig(port=0, max_message_bytes=4096)) as server:
        await check_that_it_is_told(server, ConnectionLost, "1009")


async def test_a_server_that_ends_every_connection_is_given_up_too():
    ready = messages.Ready("s", "m", SAMPLE_RATE, resume_token="t", epoch="e", resume_from=0)

    async def serve(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(ENCODER.encode(ready).decode())
        socket.transport.abort()

    async with serve_websocket(serve, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect_resuming(address, give_up_s=0.1) as stream:
            with pytest.raises(ConnectionLost, match="gave up after"):
                await show(stream, Shown())


def test_whoever_gets_no_further_is_asked_less_and_less_often_until_something_is_decided():
    patience = Patience(20.0, Backoff(lambda: 1.0))

    def lose(now: float, covered: int) -> tuple[float, bool]:
        patience.lose(now, covered)
        patience.connect(now + 1.0)
        return patience.wait(), patience.is_over(now)

    assert [lose(now, 7) for now in (0.0, 10.0, 20.0)] == [(0.0, False), (0.001, False), (0.01, False)]
    assert lose(21.0, 8) == (0.0, False), "something was decided"
    assert lose(31.0, 8) == (0.001, False)
    assert lose(42.0, 8) == (0.01, True)
    assert lose(50.0 + LASTING_S, 8) == (0.0, False), "it was a good connection, over which nothing was said"
    assert lose(80.0 + LASTING_S, 8) == (0.001, False), "it stood for longer than is waited without one"


async def test_a_server_that_lets_nothing_be_resumed_may_be_behind_with_pongs(monkeypatch: pytest.MonkeyPatch):
    """Everything is sent to it at once, and they wait behind that."""
    monkeypatch.setattr(resuming, "HEARTBEAT_S", 0.02)
    ping, shown, pings = ClientConnection.ping, Shown(), itertools.count(1)
    latest = 0

    async def counted(self: ClientConnection, *data: Any) -> Any:
        nonlocal latest
        latest = next(pings)
        return await ping(self, *data)

    monkeypatch.setattr(ClientConnection, "ping", counted)
    config = ServerConfig(port=0, resume_s=0)
    async with running(config) as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await stream.send_audio(SPEECH[:30_000])
        proxy.hold()
        asked = latest
        await until(lambda: latest > asked + 3 or stream._over)
        proxy.release()
        await converse(stream, shown, SPEECH[30_000:])
    shown.check()


async def test_a_live_source_leaves_a_server_that_answers_no_pings_although_nothing_can_be_resumed(monkeypatch):
    monkeypatch.setattr(resuming, "HEARTBEAT_S", 0.02)
    config = ServerConfig(port=0, resume_s=0)
    async with running(config) as server, proxied(server.port) as proxy, opened(proxy, Shown(), live=True) as stream:
        proxy.hold()
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionLost):
                await show(stream, Shown())


async def test_a_server_that_is_not_there_at_first_is_unreachable_and_one_that_stays_away_is_given_up():
    shown = Shown()
    async with proxied(0) as proxy:
        with pytest.raises(Unreachable):
            async with opened(proxy, shown):
                pass
        async with running() as server:
            proxy.port = server.port
            async with opened(proxy, shown, give_up_s=0.05) as stream:
                proxy.port = 0
                proxy.reset()
                with pytest.raises(ConnectionLost, match="gave up after"):
                    await show(stream, shown)


@pytest.mark.parametrize("stopped", ["before", "after"])
async def test_a_live_source_that_has_ended_does_not_wait_for_a_server_for_ever(
    stopped: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(return_path, "ENDING_S", 0.05)
    shown = Shown()
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, live=True) as stream:
        await stream.send_audio(SPEECH[:30_000])
        if stopped == "before":
            proxy.hold()
            await stream.stop()
        proxy.port = 0
        proxy.reset()
        await until(lambda: bool(shown.notices))
        if stopped == "after":
            await stream.stop()
        with pytest.raises(ConnectionLost, match="last words may be missing"):
            await show(stream, shown)


async def test_a_live_source_that_has_ended_leaves_a_server_that_drops_each_connection(
    monkeypatch: pytest.MonkeyPatch,
):
    """Each of them is no new patience: it is over when all the time without one is."""
    monkeypatch.setattr(return_path, "ENDING_S", 0.1)
    dial, shown, dials = resuming.dial, Shown(), itertools.count()

    @asynccontextmanager
    async def dropping(url: str, start: messages.Start, **options: Any) -> AsyncIterator[Stream]:
        async with dial(url, start, **options) as stream:
            if next(dials):
                await stream._socket.close()
            yield stream

    monkeypatch.setattr(resuming, "dial", dropping)
    async with running() as server, proxied(server.port) as proxy, opened(proxy, shown, live=True) as stream:
        await stream.send_audio(SPEECH[:20_000])
        proxy.hold()
        await stream.stop()
        await stream.stop()
        proxy.reset()
        proxy.release()
        with pytest.raises(ConnectionLost, match="last words may be missing"):
            await show(stream, shown)
    assert next(dials) > 2


async def test_a_server_that_lets_nothing_be_resumed_is_lost_when_it_is_lost():
    shown = Shown()
    async with running(ServerConfig(port=0, resume_s=0)) as server, proxied(server.port) as proxy:
        async with opened(proxy, shown) as stream:
            await stream.send_audio(SPEECH[:20_000])
            proxy.reset()
            with pytest.raises(ConnectionLost):
                await show(stream, shown)
        async with opened(proxy, shown) as stream:
            shown.messages.clear()
            await converse(stream, shown, np.tile(SPEECH, 12))
    shown.check(" ".join([SAID] * 12))


async def test_silence_longer_than_the_ring_is_taken_by_a_server_that_lets_nothing_be_resumed():
    shown, silence = Shown(), np.zeros(100 * SAMPLE_RATE, np.float32)
    config = ServerConfig(port=0, resume_s=0)
    async with running(config) as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        await converse(stream, shown, silence)
    assert [message.audio for message in shown.messages if isinstance(message, messages.Done)] == [100.0]


async def test_who_waits_for_a_place_in_the_ring_hears_that_the_stream_has_ended():
    lost = asyncio.Event()

    class Deaf:
        async def send(self, message: str | bytes) -> None:
            await lost.wait()

        async def recv(self) -> str | bytes:
            await lost.wait()
            raise ConnectionLost("gone")

    def never(request: messages.Start) -> Any:
        pytest.fail("there is no way back")

    ready, options = messages.Ready("s", "m", SAMPLE_RATE), {"notice": print, "give_up_s": None, "attempt_s": 1.0}
    stream = ResumingStream(messages.Start(), ready, live=False, **options)
    running = asyncio.ensure_future(stream.run(Stream(Deaf(), Encoding.PCM_S16LE, ready), never))
    sending = asyncio.ensure_future(stream.send_audio(np.zeros(100 * SAMPLE_RATE, np.float32)))
    await until(lambda: not stream._outgoing.has_room)
    lost.set()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLost, match="the stream has ended"):
            await sending
        await running


async def test_a_file_longer_than_the_ring_waits_for_the_server_and_loses_nothing():
    shown = Shown()
    async with running(LOCAL) as server, proxied(server.port) as proxy, opened(proxy, shown) as stream:
        proxy.cut_at = 2 * 12 * len(SPEECH) // 2
        await converse(stream, shown, np.tile(SPEECH, 12))
    shown.check(" ".join([SAID] * 12))
    assert not shown.gaps


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), max_size=30), st.data())
@settings(max_examples=100)
def test_a_ring_holds_the_newest_frames_that_were_not_let_go(size, steps, data):
    ring, everything = Ring(size, 50), b""
    for count, let_go in steps:
        piece = bytes((len(everything) + n) % 251 for n in range(count))
        everything += piece
        ring.append(piece)
        ring.let_go(ring.start + let_go - 20)
        assert ring.end == len(everything) // size
        assert len(ring) <= 50
        assert ring.rest == everything[ring.end * size :]
        at = data.draw(st.integers(ring.start, ring.end))
        most = data.draw(st.integers(0, 60))
        assert ring.read(at, most) == everything[at * size : min(at + most, ring.end) * size]
    with pytest.raises(IndexError):
        ring.read(ring.end + 1, 1)


def test_waits_grow_are_spread_and_begin_anew():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait() for _ in range(5)] == [0.0, 0.001, 0.01, 0.01, 0.01]
    backoff.succeed()
    assert backoff.wait() == 0.0
    assert STEPS_S == (0.25, 0.5, 1.0, 2.0, 5.0)
