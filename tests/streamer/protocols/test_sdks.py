"""The makers' own clients, unmodified, against a real daemon."""

from __future__ import annotations

import asyncio
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, Samples
from streamer.config import Config, ServerConfig, WyomingConfig
from streamer.daemon import serve
from streamer.network.ports import Ports
from streamer.protocols.handshake import House
from streamer.server import Server
from tests.digits import errors, needs_recordings, say
from tests.streamer.harness import RippleRecognizer, running, sentence
from tests.streamer.protocols.stage import interleaved, pcm

openai = pytest.importorskip("openai", reason="pip install -e '.[test]' installs openai")
deepgram = pytest.importorskip("deepgram", reason="pip install -e '.[test]' installs deepgram-sdk")
environments = pytest.importorskip("deepgram.environment")
signals = pytest.importorskip("deepgram.core.events")
wyoming = pytest.importorskip("wyoming", reason="pip install -e '.[test]' installs wyoming")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it prefers audioop, which Python 3.13 has no more
    for part in ("asr", "audio", "client", "error", "info", "ping"):
        import_module(f"wyoming.{part}")

# deepgram-sdk asks newer releases of websockets for names of older ones.
pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")

TOKEN = "a-token-that-nobody-guesses"
GUARDED = ServerConfig(port=0, token=TOKEN)
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
MANUAL = {
    "type": "transcription",
    "audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}},
}


@asynccontextmanager
async def served() -> AsyncIterator[Server]:
    async with running(GUARDED, recognizer=RippleRecognizer()) as server:
        yield server


async def append_all(connection: Any, audio: Samples) -> None:
    """Push audio at OpenAI's rate, in pieces of 100 ms."""
    data = pcm(audio, 24_000)
    for at in range(0, len(data), 4_800):
        await connection.input_audio_buffer.append(audio=b64encode(data[at : at + 4_800]).decode())


async def with_openai(port: int, audio: Samples, token: str = "none") -> list[Any]:
    """Realtime, GA: turns by the client. Return all events up to `completed`."""
    heard = []
    async with (
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=token) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        heard.append(await connection.recv())
        await connection.session.update(session=MANUAL)
        heard.append(await connection.recv())
        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(append_all(connection, audio))
            pushing.add_done_callback(lambda _: group.create_task(connection.input_audio_buffer.commit()))
            while heard[-1].type != "conversation.item.input_audio_transcription.completed":
                heard.append(await connection.recv())
    return heard


async def with_deepgram(port: int, audio: Samples, token: str = "none", **options: Any) -> list[Any]:
    """Listen v1, raw 16 kHz. Return all messages up to the close."""
    environment = environments.DeepgramClientEnvironment(
        base=f"http://127.0.0.1:{port}",
        production=f"ws://127.0.0.1:{port}",
        agent=f"ws://127.0.0.1:{port}",
        agent_rest=f"http://127.0.0.1:{port}",
    )
    client = deepgram.AsyncDeepgramClient(api_key=token, environment=environment)
    heard: list[Any] = []
    async with client.listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16_000, **options
    ) as connection:
        connection.on(signals.EventType.MESSAGE, heard.append)
        async with asyncio.TaskGroup() as group:
            group.create_task(connection.start_listening())
            data = pcm(audio)
            for at in range(0, len(data), 3_200):
                await connection.send_media(data[at : at + 3_200])
            await connection.send_keep_alive()
            await connection.send_finalize()
            await connection.send_close_stream()
    return heard


async def with_wyoming(port: int, audio: Samples) -> list[Any]:
    """One turn. Return all events up to its end."""
    heard: list[Any] = []
    async with wyoming.client.AsyncTcpClient("127.0.0.1", port) as client:

        async def speak() -> None:
            await client.write_event(wyoming.asr.Transcribe(language="en").event())
            await client.write_event(wyoming.audio.AudioStart(SAMPLE_RATE, 2, 1).event())
            data = pcm(audio)
            for at in range(0, len(data), 2_048):
                await client.write_event(wyoming.audio.AudioChunk(SAMPLE_RATE, 2, 1, data[at : at + 2_048]).event())
            await client.write_event(wyoming.audio.AudioStop().event())

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            while not (heard and wyoming.asr.TranscriptStop.is_type(heard[-1].type)):
                heard.append(await client.read_event())
    return heard


def openai_words(heard: list[Any]) -> list[str]:
    return heard[-1].transcript.split()


def deepgram_words(heard: list[Any], channel: int = 0) -> list[str]:
    results = [message for message in heard if message.type == "Results" and message.channel_index[0] == channel]
    finals = [message for message in results if message.is_final]
    return " ".join(final.channel.alternatives[0].transcript for final in finals).split()


async def test_openai_realtime_reads_every_event() -> None:
    async with served() as server:
        heard = await with_openai(server.port, SPEECH, TOKEN)

    kinds = [event.type for event in heard]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert heard[1].session.audio.input.turn_detection is None
    assert heard[1].session.audio.input.transcription.model == "whisper-1"
    assert openai_words(heard) == ["w1", "w2", "w3", "w4", "w5"]
    assert heard[-1].usage.type == "duration"
    deltas = [event.delta for event in heard if event.type.endswith(".delta")]
    assert "".join(deltas) == heard[-1].transcript
    assert "input_audio_buffer.committed" in kinds
    assert {type(event).__name__ for event in heard} >= {"SessionCreatedEvent", "ConversationItemDone"}


async def test_openai_realtime_with_the_servers_turns() -> None:
    said, kinds = [], set()
    async with (
        served() as server,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=TOKEN) as client,
        client.realtime.connect(model="gpt-4o-transcribe", extra_query={"intent": "transcription"}) as connection,
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(append_all(connection, SPEECH))
            while len(said) < 2:
                event = await connection.recv()
                kinds.add(event.type)
                if event.type == "conversation.item.input_audio_transcription.completed":
                    said.append(event.transcript)
        await connection.input_audio_buffer.clear()
        while (await connection.recv()).type != "input_audio_buffer.cleared":
            pass

    assert said == ["w1 w2 w3", "w4 w5"]
    assert {"input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"} <= kinds


async def test_openai_realtime_reads_an_error_and_goes_on() -> None:
    async with (
        served() as server,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=TOKEN) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        await connection.recv()
        await connection.input_audio_buffer.commit(event_id="mine")
        error = await connection.recv()
        await connection.session.update(session={"type": "transcription"})
        after = await connection.recv()

    assert (error.type, error.error.code, error.error.event_id) == ("error", "input_audio_buffer_commit_empty", "mine")
    assert after.type == "session.updated"


async def test_openais_older_realtime_shape() -> None:
    heard = []
    async with (
        served() as server,
        openai.AsyncOpenAI(websocket_base_url=f"ws://127.0.0.1:{server.port}/v1", api_key=TOKEN) as client,
        client.beta.realtime.connect(model="whisper-1", extra_query={"intent": "transcription"}) as connection,
    ):
        heard.append(await connection.recv())
        await connection.transcription_session.update(
            session={"turn_detection": None, "input_audio_transcription": {"model": "whisper-1"}}
        )
        heard.append(await connection.recv())
        await append_all(connection, SPEECH)
        await connection.input_audio_buffer.commit()
        while heard[-1].type != "conversation.item.input_audio_transcription.completed":
            heard.append(await connection.recv())

    kinds = [event.type for event in heard]
    assert kinds[:2] == ["transcription_session.created", "transcription_session.updated"]
    assert "conversation.item.created" in kinds
    assert openai_words(heard) == ["w1", "w2", "w3", "w4", "w5"]


async def test_deepgrams_client_reads_every_message() -> None:
    options = {"interim_results": "true", "vad_events": "true", "utterance_end_ms": "1000", "keyterm": ["Ada", "Li"]}
    async with served() as server:
        heard = await with_deepgram(server.port, SPEECH, TOKEN, **options)

    assert {message.type for message in heard} >= {"Results", "SpeechStarted", "Metadata"}
    assert deepgram_words(heard) == ["w1", "w2", "w3", "w4", "w5"]
    assert heard[-1].type == "Metadata"
    assert heard[-1].duration == pytest.approx(len(SPEECH) / SAMPLE_RATE)
    assert [message.from_finalize for message in heard if message.type == "Results"].count(True) == 1
    words = [word for m in heard if m.type == "Results" and m.is_final for word in m.channel.alternatives[0].words]
    assert [word.punctuated_word for word in words] == ["w1", "w2", "w3", "w4", "w5"]


async def test_wyomings_client_reads_every_event() -> None:
    config = Config(wyoming=WyomingConfig(enabled=True, port=0))
    async with (
        running(recognizer=RippleRecognizer(), config=config) as server,
        wyoming.client.AsyncTcpClient("127.0.0.1", server.ports.wyoming) as client,
    ):
        await client.write_event(wyoming.info.Describe().event())
        info = wyoming.info.Info.from_event(await client.read_event())
        await client.write_event(wyoming.ping.Ping("hello").event())
        pong = wyoming.ping.Pong.from_event(await client.read_event())
        await client.write_event(wyoming.asr.Transcribe(language="xx").event())
        error = wyoming.error.Error.from_event(await client.read_event())
        heard = await with_wyoming(server.ports.wyoming, SPEECH)

    assert info.asr[0].supports_transcript_streaming
    assert info.asr[0].models[0].languages
    assert pong.text == "hello"
    assert (error.code, "'xx'" in error.text) == ("bad_value", True)
    chunks = [wyoming.asr.TranscriptChunk.from_event(e).text for e in heard if e.type == "transcript-chunk"]
    assert wyoming.asr.TranscriptStart.is_type(heard[0].type)
    assert wyoming.asr.Transcript.from_event(heard[-2]).text == "".join(chunks) == "w1 w2 w3 w4 w5"


@pytest.mark.parametrize("client", [with_openai, with_deepgram])
async def test_a_wrong_key_is_an_error_of_the_client(client: Callable[..., Awaitable[Any]]) -> None:
    async with served() as server:
        with pytest.raises(Exception, match="401"):
            await client(server.port, SPEECH, "wrong")


@needs_recordings
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("machine_keeps_up")
async def test_spoken_digits_are_the_same_words_through_every_client() -> None:
    said, other = say("jackson", 10, seed=8), say("george", 10, seed=9)
    recognizer = WhisperRecognizer.load("demo", device="cpu", threads=1)
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        wyoming_config = WyomingConfig(enabled=True, port=0)
        config = Config(server=ServerConfig(port=0, drain_timeout_s=0), wyoming=wyoming_config)
        ports = Ports(config, House("demo", ("en",)))
        serving = group.create_task(ports.run())
        task = group.create_task(serve(config, recognizer, on_ready=bound.set_result, ports=ports))
        port = await bound
        heard = [
            openai_words(await with_openai(port, said.audio)),
            deepgram_words(await with_deepgram(port, said.audio)),
            wyoming.asr.Transcript.from_event((await with_wyoming(ports.wyoming, said.audio))[-2]).text.split(),
        ]
        apart = await with_deepgram(port, interleaved(said.audio, other.audio), channels="2", multichannel="true")
        task.cancel()
        serving.cancel()

    assert heard[0] == heard[1] == heard[2]
    assert errors(heard[0], list(said.words)) <= 1
    assert deepgram_words(apart, 0) == heard[0]
    assert errors(deepgram_words(apart, 1), list(other.words)) <= 1
    assert [message.type for message in apart].count("Metadata") == 1
