"""Channels of one connection, each a stream of its own."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from model.types import SAMPLE_RATE, Samples
from streamer.config import ServerConfig
from streamer.connection.channels import QUEUED_MESSAGES, Channels
from streamer.connection.wire import Disconnected
from streamer.core.audio import AudioDecoder, Encoding
from streamer.core.commands import Message, ProtocolError
from streamer.protocols.deepgram import DeepgramCodec, channel_codecs
from streamer.recognition.governor import Governor
from streamer.server import Server
from tests.fakes import silence, speak
from tests.streamer.harness import Heard, RippleRecognizer, listen, metric, push, running, s16, sentence, until
from tests.streamer.protocols.stage import HOUSE, Stage, interleaved, pcm, shaken, wav

STEREO = "encoding=linear16&sample_rate=16000&channels=2&multichannel=true"
FINALIZE, CLOSE = {"type": "Finalize"}, {"type": "CloseStream"}
LEFT, RIGHT = np.concatenate([sentence(1, 2, 3), sentence(4)]), np.concatenate([sentence(11), sentence(12, 13, 14)])


def stages(query: str = STEREO) -> list[Stage]:
    return [Stage(codec) for codec in channel_codecs(shaken(query), HOUSE)]


def words(messages: list[dict[str, Any]], channel: int) -> list[str]:
    finals = [m for m in messages if m["type"] == "Results" and m["is_final"] and m["channel_index"][0] == channel]
    return " ".join(m["channel"]["alternatives"][0]["transcript"] for m in finals).split()


def test_each_codec_hears_its_channel_and_says_which_it_is() -> None:
    played = stages(f"{STEREO}&vad_events=true&interim_results=true&utterance_end_ms=1000")
    for message in (pcm(interleaved(LEFT, RIGHT)), CLOSE):
        for stage in played:
            stage.say(message)

    assert [words(stage.told, n) for n, stage in enumerate(played)] == [
        ["w1", "w2", "w3", "w4"],
        ["w11", "w12", "w13", "w14"],
    ]
    for n, stage in enumerate(played):
        assert {tuple(message["channel_index"]) for message in stage.of("Results")} == {(n, 2)}
        assert {tuple(message["channel"]) for message in stage.of("SpeechStarted", "UtteranceEnd")} == {(n, 2)}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_said_of_the_whole_is_said_once_behind_the_last_channel(order: tuple[int, int]) -> None:
    played = stages()
    data = pcm(interleaved(LEFT, RIGHT))
    for stage in played:
        stage.say(data, "no JSON", {"type": "Configure", "keyterms": ["Ada"]})
    first, last = (played[n] for n in order)
    first.say(CLOSE)
    last.say(CLOSE)

    assert first.of("Metadata") == []
    assert last.kinds[-1] == "Metadata"
    (metadata,) = last.of("Metadata")
    assert (metadata["channels"], metadata["duration"]) == (2, len(LEFT) / SAMPLE_RATE)
    assert metadata["sha256"] == sha256(data).hexdigest()
    assert [len(stage.of("Error", "ConfigureSuccess")) for stage in played] == [2, 0]


@pytest.mark.parametrize(("message", "answered"), [(FINALIZE, [1, 1]), ({**FINALIZE, "channel": 1}, [0, 1])])
def test_finalize_is_for_all_channels_or_for_one(message: dict[str, Any], answered: list[int]) -> None:
    played = stages()
    for stage in played:
        stage.say(message)

    assert [len(stage.of("Results")) for stage in played] == answered


@pytest.mark.parametrize("query", ["channels=2", "channels=2&multichannel=false", "channels=1&multichannel=true"])
def test_otherwise_a_connection_is_one_stream(query: str) -> None:
    (codec,) = channel_codecs(shaken(f"encoding=linear16&sample_rate=16000&{query}"), HOUSE)

    assert isinstance(codec, DeepgramCodec)


def test_a_file_must_have_the_channels_that_were_announced() -> None:
    for codec in channel_codecs(shaken("channels=2&multichannel=true"), HOUSE):
        assert list(codec.decode(wav(bytes(64), channels=2)))
    for codec in channel_codecs(shaken("channels=2&multichannel=true"), HOUSE):
        with pytest.raises(ProtocolError, match="the file must have 2 channels, got 1"):
            list(codec.decode(wav(bytes(64), channels=1)))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_channel_is_heard_alone_however_the_network_cut_the_audio(size: int) -> None:
    rng = np.random.default_rng(1)
    channels = rng.uniform(-1, 1, (3, 500)).astype(np.float32)
    data = interleaved(*channels).astype("<f4").tobytes()
    decoder = AudioDecoder(Encoding.PCM_F32LE, SAMPLE_RATE, 3, 1)
    heard = [samples for at in range(0, len(data), size) for samples in decoder.decode(data[at : at + size])]

    np.testing.assert_array_equal(np.concatenate(heard), channels[1])


class Script:
    """A wire that plays messages, then waits; what is sent and how it is closed is kept."""

    def __init__(self, *messages: Message) -> None:
        self.gone = False
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.closed: list[tuple[int, str]] = []

    async def receive(self) -> Message:
        if not self.messages:
            raise Disconnected(1000)
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed.append((code, reason))


async def test_the_wire_is_closed_when_the_last_channel_closes() -> None:
    script = Script()
    first, second = Channels(script, 2).wires
    await first.close(1000)
    assert script.closed == []
    await second.send("late")
    await second.close(1000, "done")

    assert (script.sent, script.closed) == (["late"], [(1000, "done")])


async def test_a_channel_that_fails_ends_the_others() -> None:
    script = Script()
    first, second = Channels(script, 2).wires
    waiting = asyncio.ensure_future(second.receive())
    await asyncio.sleep(0)
    await first.close(1011, "failed")

    with pytest.raises(Disconnected):
        await waiting
    with pytest.raises(Disconnected):
        await second.send("unheard")
    await second.close(1000)
    assert script.closed == [(1011, "failed")]


async def test_channels_are_over_when_their_sessions_are_though_the_client_does_not_leave() -> None:
    class Staying(Script):
        async def receive(self) -> Message:
            return await asyncio.Event().wait() or ""

    class Over:
        async def run(self) -> None:
            await asyncio.sleep(0)

    over: list[Any] = [Over(), Over()]
    async with asyncio.timeout(5):
        await Channels(Staying(), 2).run(over)


async def test_a_channel_that_finds_the_client_gone_lets_the_others_know() -> None:
    """The other one may have nothing to say, and whoever reads for both may wait for the first to take a message."""

    class Gone(Script):
        async def send(self, message: Message) -> None:
            raise Disconnected("gone")

    channels = Channels(Gone(), 2)
    speaking, silent = channels.wires
    for _ in range(QUEUED_MESSAGES):
        await speaking.deliver("more")
    full = asyncio.ensure_future(speaking.deliver("too much"))
    waiting = asyncio.ensure_future(silent.receive())
    await asyncio.sleep(0)
    with pytest.raises(Disconnected):
        await speaking.send("a word")

    with pytest.raises(Disconnected):
        await waiting
    await full


async def test_a_channel_that_is_behind_holds_the_client_and_one_that_has_closed_does_not() -> None:
    script = Script(*map(str, range(20)))
    channels = Channels(script, 2)
    first, second = channels.wires
    reading = asyncio.ensure_future(channels._distribute())
    for _ in range(50):
        await asyncio.sleep(0)
    taken = 20 - len(script.messages)
    await first.close(1000)
    heard = []
    with suppress(Disconnected):
        while True:
            heard.append(await second.receive())
    await reading

    assert taken == QUEUED_MESSAGES + 1
    assert heard == list(map(str, range(20)))


def opened(server: Server, query: str = STEREO) -> connect:
    return connect(f"ws://127.0.0.1:{server.port}/v1/listen?{query}", proxy=None, compression=None)


async def converse(server: Server, messages: list[Any], query: str = STEREO) -> Heard:
    async with opened(server, query) as socket, asyncio.TaskGroup() as group:
        group.create_task(push(socket, messages))
        return await listen(socket)


def pieces(audio: Samples, size: int = 6_400) -> list[bytes]:
    data = s16(audio)
    return [data[at : at + size] for at in range(0, len(data), size)]


async def test_each_channel_gets_its_own_words_through_one_connection() -> None:
    async with running(recognizer=RippleRecognizer()) as server:
        heard = await converse(server, [*pieces(interleaved(LEFT, RIGHT)), FINALIZE, CLOSE])
        sessions = await metric(server, "streamer_sessions_opened_total")

    assert words(heard.messages, 0) == ["w1", "w2", "w3", "w4"]
    assert words(heard.messages, 1) == ["w11", "w12", "w13", "w14"]
    assert heard.kinds.count("Metadata") == 1
    assert (heard.kinds[-1], heard.code, sessions) == ("Metadata", 1000, 2)
    assert sum(message.get("from_finalize", False) for message in heard.messages) == 2


async def test_as_many_streams_as_channels_must_be_free() -> None:
    async with running(ServerConfig(port=0, max_sessions=2)) as server, opened(server) as socket:
        await socket.send(s16(interleaved(speak([1]), speak([2]))))
        await until(lambda: server.admission.count == 2)
        await socket.close()
        await until(lambda: server.admission.count == 0)
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, STEREO.replace("channels=2", "channels=3")):
                pass

    assert caught.value.response.status_code == 429
    assert "2 of 2 sessions are free, not 3" in caught.value.response.headers["dg-error"]


async def test_there_must_be_time_for_as_many_streams_as_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Governor, "has_room_for", lambda _, streams: streams < 3)
    async with running() as server:
        async with opened(server):
            pass
        with pytest.raises(InvalidStatus) as caught:
            async with opened(server, STEREO.replace("channels=2", "channels=3")):
                pass

    assert caught.value.response.status_code == 429
    assert "sessions take too much of the time for 3 more" in caught.value.response.headers["dg-error"]


async def test_a_server_that_goes_away_decides_all_channels() -> None:
    async with running(recognizer=RippleRecognizer()) as server, opened(server) as socket:
        await socket.send(s16(interleaved(speak(range(1, 7)), speak(range(11, 17)))))
        first = await until_both(socket)
        server.stop()
        heard = await listen(socket)

    told = first + heard.messages
    assert words(told, 0) == [f"w{n}" for n in range(1, 7)]
    assert words(told, 1) == [f"w{n}" for n in range(11, 17)]
    assert (heard.kinds[-1], heard.code) == ("Metadata", 1012)


async def until_both(socket: ClientConnection) -> list[dict[str, Any]]:
    """Take messages until both channels have said something."""
    told: list[dict[str, Any]] = []
    while {m["channel_index"][0] for m in told} != {0, 1}:
        told.append(json.loads(await socket.recv()))
    return told


async def test_audio_that_cannot_be_read_closes_once_with_the_reason() -> None:
    floats = np.array([0.0, np.nan] * 800, dtype="<f4").tobytes()
    async with running() as server:
        heard = await converse(server, [floats], STEREO.replace("linear16", "linear32"))
        await until(lambda: server.admission.count == 0)

    assert heard.code == 1008
    assert heard.reason.startswith("DATA-0000")


async def test_a_client_that_leaves_takes_all_its_channels_with_it() -> None:
    async with running() as server:
        async with opened(server) as socket:
            await socket.send(s16(interleaved(speak([1]), silence(9))))
            await until(lambda: server.admission.count == 2)
        await until(lambda: server.admission.count == 0)
