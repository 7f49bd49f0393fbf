"""The client library against the real server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import msgspec
import numpy as np
import pytest
import soxr
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close as CloseFrame

from clients.address import is_loopback, stream_url
from clients.connection import BROKEN, Stream, _options, connect
from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.pcm import pcm_s16le
from clients.received import FromServer
from model.types import SAMPLE_RATE, Samples, Task
from streamer.config import Config, ServerConfig, SessionConfig
from streamer.core.audio import Encoding
from streamer.protocols import messages
from tests.fakes import LevelRecognizer
from tests.streamer.harness import LOCAL, RippleRecognizer, running, sentence, until


async def push(stream: Stream, audio: Samples | bytes, block: int = 1600) -> None:
    for start in range(0, len(audio), block):
        await stream.send_audio(audio[start : start + block])
    await stream.stop()


async def collect(stream: Stream, audio: Samples | bytes, block: int = 1600) -> list[FromServer]:
    async with asyncio.TaskGroup() as group:
        group.create_task(push(stream, audio, block))
        return [message async for message in stream]


def finals(heard: list[FromServer]) -> list[str]:
    return [message.text for message in heard if isinstance(message, messages.Final)]


async def test_audio_goes_in_and_typed_messages_come_out_up_to_done():
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}") as stream:
        heard = await collect(stream, sentence(1, 2, 3))

    assert stream.ready.model == "levels"
    assert finals(heard) == ["w1 w2 w3"]
    assert isinstance(heard[-1], messages.Done)
    commits = [message for message in heard if isinstance(message, messages.Commit)]
    assert [word.text for message in commits for word in message.words] == ["w1", "w2", "w3"]


@pytest.mark.parametrize("encoding", [Encoding.PCM_S16LE, Encoding.PCM_F32LE])
async def test_samples_are_written_in_the_encoding_of_the_stream(encoding):
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}", encoding=encoding) as stream:
        assert finals(await collect(stream, sentence(4, 5))) == ["w4 w5"]


async def test_bytes_are_sent_as_they_are_at_any_rate_and_with_any_number_of_channels():
    audio = soxr.resample(sentence(1, 2), SAMPLE_RATE, 48_000)
    stereo = pcm_s16le(np.repeat(audio, 2))
    async with running(recognizer=RippleRecognizer()) as server:
        address = f"ws://127.0.0.1:{server.port}"
        async with connect(address, sample_rate=48_000, channels=2) as stream:
            assert finals(await collect(stream, stereo, block=1001)) == ["w1 w2"]


async def test_samples_cannot_be_sent_as_mulaw():
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}", encoding=Encoding.MULAW) as stream:
        with pytest.raises(ValueError, match="not as mulaw"):
            await stream.send_audio(np.zeros(10, dtype=np.float32))


async def test_audio_longer_than_the_servers_largest_message_is_sent_in_parts():
    settings = ServerConfig(port=0, max_message_bytes=65_536)
    async with running(settings) as server, connect(f"ws://127.0.0.1:{server.port}") as stream:
        heard = await collect(stream, np.tile(sentence(1), 20), block=1_000_000)

    assert finals(heard) == ["w1"] * 20


async def test_no_audio_at_all_still_tells_the_server_that_somebody_is_there():
    received: list[str | bytes] = []

    async def take(socket: ServerConnection) -> None:
        received.append(await socket.recv())
        await socket.send(READY)
        received.append(await socket.recv())
        await socket.send('{"type": "done", "audio": 0, "commits": 0}')

    async with misbehaving(take) as address, connect(address) as stream:
        await stream.send_audio(np.zeros(0, dtype=np.float32))
        await drain(stream)

    assert received[1:] == [b""]


async def test_a_flush_decides_what_was_sent_before_it_while_the_stream_goes_on():
    speech = sentence(1, 2)
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}") as stream:
        await stream.send_audio(speech[: -SAMPLE_RATE // 2])
        await stream.flush("here")
        heard: list[FromServer] = []
        async for message in stream:
            heard.append(message)
            if isinstance(message, messages.Flushed):
                break
        rest = await collect(stream, sentence(3))

    assert heard[-1] == messages.Flushed("here")
    assert finals(heard) == ["w1 w2"]
    assert finals(rest) == ["w3"]


async def test_all_fields_of_start_reach_the_server():
    recognizer = LevelRecognizer()
    async with (
        running(recognizer=recognizer) as server,
        connect(f"ws://127.0.0.1:{server.port}", language="de", prompt="Namen", partials=False, words=False) as stream,
    ):
        heard = await collect(stream, sentence(1, 2, 3, 4, 5))

    asked = [request for request in recognizer.requests if request.stream != "warm-up"]
    assert {(request.language, request.context) for request in asked} == {("de", "Namen")}
    assert not [message for message in heard if isinstance(message, messages.Partial)]
    assert {type(message.words) for message in heard if isinstance(message, messages.Commit)} == {type(messages.UNSET)}


async def test_a_start_that_is_refused_raises_code_and_text():
    async with running() as server:
        with pytest.raises(StreamError, match="language must be one of") as caught:
            async with connect(f"ws://127.0.0.1:{server.port}", language="xx"):
                pass

    assert caught.value.code == "bad_value"


async def test_a_full_server_is_told_by_its_code():
    async with running(ServerConfig(port=0, max_sessions=1)) as server, connect(f"ws://127.0.0.1:{server.port}"):
        with pytest.raises(StreamError) as caught:
            async with connect(f"ws://127.0.0.1:{server.port}"):
                pass

    assert caught.value.code == "busy"


async def test_an_error_in_the_middle_raises_code_and_text():
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}", encoding=Encoding.PCM_F32LE) as stream:
        await stream.send_audio(np.full(10, np.nan, dtype=np.float32))
        with pytest.raises(StreamError, match="finite") as caught:
            await drain(stream)

    assert caught.value.code == "bad_samples"


async def test_the_token_is_sent():
    async with running(ServerConfig(port=0, token="secret")) as server:
        address = f"ws://127.0.0.1:{server.port}"
        async with connect(address, token="secret") as stream:
            assert finals(await collect(stream, sentence(1))) == ["w1"]
        with pytest.raises(Unreachable, match=r"401.*token"):
            async with connect(address, token="wrong"):
                pass


async def test_nobody_at_the_address_is_unreachable():
    async with running() as server:
        port = server.port
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        async with connect(f"ws://127.0.0.1:{port}"):
            pass


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "ws://", "ws://127.0.0.1:99999", "ws://[::1"])
async def test_an_address_that_is_none_is_unreachable(url):
    with pytest.raises(Unreachable):
        async with connect(url):
            pass


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost:8765", "ws://localhost:8765/v1/stream"),
        ("ws://localhost:8765", "ws://localhost:8765/v1/stream"),
        ("ws://localhost:8765/", "ws://localhost:8765/v1/stream"),
        ("http://localhost", "ws://localhost/v1/stream"),
        ("https://host/speech", "wss://host/speech"),
        ("ws://[::1]:1/v1/stream", "ws://[::1]:1/v1/stream"),
    ],
)
def test_an_address_is_completed(given, meant):
    assert stream_url(given) == meant


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("ws://127.0.0.1:8765/v1/stream", True),
        ("ws://[::1]:8765", True),
        ("wss://localhost:8765", True),
        ("ws://192.168.1.2:8765", False),
        ("ws://127.0.0.1.example.org", False),
        ("ws:///v1/stream", False),
    ],
)
def test_this_machine_s_own_address_is_known_as_such_for_no_proxy_knows_it(url, own):
    assert is_loopback(url) is own
    assert (_options(url, None).get("proxy", "the system's") is None) is own


async def test_a_client_that_is_faster_than_recognition_has_to_wait_and_loses_nothing():
    hold = asyncio.Event()

    class Slow(LevelRecognizer):
        def transcribe(self, batch):
            if any(request.stream != "warm-up" for request in batch):
                asyncio.run_coroutine_threadsafe(hold.wait(), loop).result()
            return super().transcribe(batch)

    loop = asyncio.get_running_loop()
    config = Config(session=SessionConfig(max_backlog_ms=35_000))
    speech = np.tile(sentence(1, 2, 3), 200)
    async with running(LOCAL, Slow(), config) as server, connect(f"ws://127.0.0.1:{server.port}") as stream:
        sent = 0

        async def push_all() -> None:
            nonlocal sent
            for start in range(0, len(speech), 16_000):
                await stream.send_audio(speech[start : start + 16_000])
                sent += 16_000
            await stream.stop()

        async with asyncio.TaskGroup() as group:
            group.create_task(push_all())
            await until(lambda: server.metrics.stalls._value.get() > 0)
            for _ in range(1000):  # it could go on, if it did not wait
                await asyncio.sleep(0)
            waited_at = sent
            hold.set()
            heard = [message async for message in stream]

    assert 35 * SAMPLE_RATE <= waited_at < len(speech) // 2
    assert finals(heard) == ["w1 w2 w3"] * 200


async def test_a_server_that_drains_ends_the_stream_with_done():
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}") as stream:
        await stream.send_audio(sentence(1, 2))
        async for message in stream:
            if isinstance(message, messages.Final):
                break
        server.stop()
        rest = [message async for message in stream]

    assert isinstance(rest[-1], messages.Done)


@asynccontextmanager
async def misbehaving(behaviour: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """Run a server that does what it likes; yield its address."""
    async with serve_websocket(behaviour, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


READY = json.dumps({"type": "ready", "session": "s", "model": "m", "sample_rate": 16000})


async def drain(stream: Stream) -> list[Any]:
    return [message async for message in stream]


GIVEN = messages.Start(
    48_000, Encoding.MULAW, 2, "de", Task.TRANSLATE, "Namen", partials=False, words=False, languages=["de", "en"],
    hotwords=["Boro"],
)  # fmt: skip


@pytest.mark.parametrize("start", [messages.Start(), GIVEN], ids=["nothing", "everything"])
async def test_a_stream_asks_for_what_is_given_and_where_nothing_is_for_what_the_protocol_has(start):
    heard = []

    async def listen(socket: ServerConnection) -> None:
        heard.append(msgspec.json.decode(await socket.recv(), type=messages.Start))
        await socket.send(READY)

    fields = {name: getattr(start, name) for name in start.__struct_fields__ if not name.startswith("resum")}
    given = {} if start == messages.Start() else fields | {"encoding": Encoding(start.encoding)}
    async with misbehaving(listen) as address, connect(address, **given):
        pass

    assert heard == [start]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ConnectionClosedError(CloseFrame(1012, "restarting"), None), 1012),
        (ConnectionClosedError(None, None), BROKEN),
        (ConnectionLost("broke"), BROKEN),
    ],
    ids=["closed", "without a word", "broke"],
)
async def test_after_done_the_close_code_says_how_the_connection_ended(end, code):
    class Ended:
        last = iter(["whatever is said after done", end])

        async def recv(self) -> str:
            if isinstance(said := next(self.last), Exception):
                raise said
            return said

    ready = messages.Ready("s", "m", SAMPLE_RATE)
    assert await Stream(Ended(), Encoding.PCM_S16LE, ready).close_code() == code


@pytest.mark.parametrize(
    ("status", "hint"), [(502, ""), (401, " (is the token right?)"), (403, " (is the token right?)")]
)
async def test_a_refusal_is_told_with_its_status_and_in_its_own_words(status, hint):
    async def never(socket: ServerConnection) -> None:
        pytest.fail("it was refused")

    def refuse(socket: ServerConnection, request: Any) -> Any:
        return socket.respond(status, "nobody is behind this proxy")

    async with serve_websocket(never, "127.0.0.1", 0, process_request=refuse) as server:
        said = re.escape(f"answered {status}{hint}: nobody is behind this proxy")
        with pytest.raises(Unreachable, match=said) as caught:
            async with connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
                pass
    assert caught.value.status == status


async def test_a_connection_that_ends_without_done_is_lost():
    async def leave(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(READY)
        await socket.close(1011, "sorry")

    async with misbehaving(leave) as address, connect(address) as stream:
        with pytest.raises(ConnectionLost, match="1011 sorry"):
            await drain(stream)
        with pytest.raises(ConnectionLost):
            await stream.send_audio(b"1234")


async def test_a_connection_that_breaks_is_lost():
    async def break_off(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(READY)
        socket.transport.abort()

    async with misbehaving(break_off) as address, connect(address) as stream:
        with pytest.raises(ConnectionLost, match="broke"):
            await drain(stream)


async def test_a_server_that_takes_the_connection_and_does_not_answer_is_not_waited_for():
    async def say_nothing(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with misbehaving(say_nothing) as address:
        with pytest.raises(ConnectionLost, match=r"did not answer start within 0\.3 s"):
            async with connect(address, open_timeout_s=0.3):
                pass


async def test_messages_and_fields_of_a_later_server_are_passed_over():
    async def speak(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(READY)
        await socket.send('{"type": "mood", "mood": "good"}')
        await socket.send('{"type": "done", "audio": 1.5, "commits": 0, "mood": "good"}')

    async with misbehaving(speak) as address, connect(address) as stream:
        assert await drain(stream) == [messages.Done(1.5, 0)]


@pytest.mark.parametrize("nonsense", ["hello", "[]", '{"type": "done", "audio": "long"}', "{}", b"\x00\xff"])
async def test_what_is_outside_the_protocol_is_an_error_of_the_server(nonsense):
    async def babble(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(READY)
        await socket.send(nonsense)

    async with misbehaving(babble) as address, connect(address) as stream:
        with pytest.raises(StreamError) as caught:
            await drain(stream)

    assert caught.value.code == "bad_message"


async def test_a_server_that_does_not_answer_start_with_ready_is_an_error():
    async def hurry(socket: ServerConnection) -> None:
        await socket.send('{"type": "done", "audio": 0, "commits": 0}')
        await socket.wait_closed()

    async with misbehaving(hurry) as address:
        with pytest.raises(StreamError, match="ready"):
            async with connect(address):
                pass


@pytest.mark.skipif(find_spec("python_socks") is not None, reason="here nothing is missing")
async def test_a_proxy_that_takes_a_package_which_is_not_there_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"socks": "socks5://127.0.0.1:1"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda _: False)

    with pytest.raises(Unreachable, match="requires python-socks"):
        async with connect("ws://nobody.invalid:1"):
            pass


def test_sixteen_bit_samples_come_back_unchanged():
    values = np.arange(-32_768, 32_768, dtype="<i2")

    assert np.array_equal(np.frombuffer(pcm_s16le(values.astype(np.float32) / 32_768), "<i2"), values)


def test_samples_beyond_full_scale_are_as_loud_as_can_be():
    loud = np.array([1.0, 1.5, -1.0, -1.5], dtype=np.float32)
    assert np.frombuffer(pcm_s16le(loud), "<i2").tolist() == [32_767, 32_767, -32_768, -32_768]
