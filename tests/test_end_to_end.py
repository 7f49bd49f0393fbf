"""The real daemon, the real model, real recordings, and a client that knows nothing but docs/protocol.md."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from statistics import median
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import soxr
import websockets

from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, Samples
from streamer.config import Config, ServerConfig
from streamer.daemon import serve
from tests.digits import SPEAKERS, Spoken, errors, needs_recordings, say

pytestmark = [needs_recordings, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def recognizer() -> WhisperRecognizer:
    return WhisperRecognizer.load("demo", device="cpu", threads=1)


@pytest.fixture
async def port(recognizer: WhisperRecognizer) -> AsyncIterator[int]:
    """Run a daemon that takes everybody, however busy the machine is with other tests; yield its port."""
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = Config(server=ServerConfig(port=0, drain_timeout_s=0, max_load=0))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(config, recognizer, on_ready=bound.set_result))
        yield await bound
        task.cancel()


@dataclass(slots=True)
class Heard:
    """Everything a server said to one client."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def words(self) -> list[str]:
        """The words of all finals."""
        return " ".join(message["text"] for message in self.of("final")).split()


async def transcribe(port: int, chunks: Iterator[bytes], **start: object) -> Heard:
    """Stream chunks as fast as they are accepted; return what came back."""
    heard = Heard()
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as socket:

        async def listen() -> None:
            async for message in socket:
                heard.messages.append(json.loads(message))

        async with asyncio.TaskGroup() as group:
            group.create_task(listen())
            await socket.send(json.dumps({"type": "start", **start}))
            for chunk in chunks:
                await socket.send(chunk)
            await socket.send(json.dumps({"type": "stop"}))
    assert socket.close_code == 1000
    return heard


def s16le(audio: Samples) -> bytes:
    return (audio * 32767).round().astype("<i2").tobytes()


def f32le(audio: Samples) -> bytes:
    return audio.astype("<f4").tobytes()


def mulaw(audio: Samples) -> bytes:
    """ITU-T G.711, from its formula: eight segments of sixteen steps."""
    pcm = np.clip((audio * 32767).astype(int), -32635, 32635)
    magnitude = np.abs(pcm) + 132
    segment = np.floor(np.log2(magnitude)).astype(int) - 7
    step = (magnitude >> (segment + 3)) & 15
    return (~(((pcm < 0) << 7) | (segment << 4) | step) & 255).astype(np.uint8).tobytes()


def at_rate(audio: Samples, rate: int) -> Samples:
    resampled: Samples = np.clip(soxr.resample(audio, SAMPLE_RATE, rate), -1, 1).astype(np.float32)
    return resampled


def pieces(data: bytes, size: Callable[[], int]) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        length = size()
        yield data[position : position + length]
        position += length


def chunk_sizes(kind: str, bytes_per_second: int, sample_bytes: int) -> Callable[[], int]:
    """Return a function that gives chunk sizes of whole samples: 1 ms, 100 ms, 2 s, or random between 1 ms and 2 s."""
    dice = random.Random(kind)
    seconds = {"1 ms": 0.001, "100 ms": 0.1, "2 s": 2.0}.get(kind)

    def size() -> int:
        length = dice.uniform(0.001, 2.0) if seconds is None else seconds
        return max(1, int(length * bytes_per_second) // sample_bytes) * sample_bytes

    return size


WIRES = [
    (16_000, "pcm_s16le", s16le, 2, "100 ms"),
    (16_000, "pcm_s16le", s16le, 2, "1 ms"),
    (16_000, "pcm_s16le", s16le, 2, "2 s"),
    (16_000, "pcm_f32le", f32le, 4, "random"),
    (8_000, "pcm_s16le", s16le, 2, "random"),
    (8_000, "mulaw", mulaw, 1, "100 ms"),
    (44_100, "pcm_s16le", s16le, 2, "random"),
    (44_100, "pcm_f32le", f32le, 4, "100 ms"),
]


@pytest.mark.parametrize(("speaker", "wires"), [(SPEAKERS[0], WIRES), (SPEAKERS[1], WIRES[::2])], ids=SPEAKERS[:2])
async def test_the_same_words_come_whatever_the_rate_the_encoding_and_the_chunks(port, speaker, wires):
    said = say(speaker, 7, seed=3)
    results = {}

    async def send(rate, encoding, encode, sample_bytes, kind):
        data = encode(at_rate(said.audio, rate))
        chunks = pieces(data, chunk_sizes(kind, rate * sample_bytes, sample_bytes))
        heard = await transcribe(port, chunks, sample_rate=rate, encoding=encoding)
        results[rate, encoding, kind] = heard.words

    async with asyncio.TaskGroup() as group:
        for wire in wires:
            group.create_task(send(*wire))

    assert set(map(tuple, results.values())) == {tuple(results[16_000, "pcm_s16le", "100 ms"])}, results
    assert errors(results[16_000, "pcm_s16le", "100 ms"], list(said.words)) <= 1


async def stream(port: int, said: Spoken) -> Heard:
    return await transcribe(port, pieces(s16le(said.audio), lambda: 3200))


async def test_commits_only_append_and_a_final_is_their_join(port):
    heard = await stream(port, say("jackson", 20, seed=4))

    assert [message["id"] for message in heard.of("commit")] == list(range(1, len(heard.of("commit")) + 1))
    for final in heard.of("final"):
        parts = [message for message in heard.of("commit") if message["utterance"] == final["utterance"]]
        assert "".join(part["text"] for part in parts) == final["text"]
        assert [word["text"] for part in parts for word in part["words"]] == final["text"].split()
    assert heard.messages[-1]["type"] == "done"


@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_word_times_are_where_the_words_were_spoken(port, speaker):
    said = say(speaker, 15, seed=5)
    heard = await stream(port, said)
    words = [word for commit in heard.of("commit") for word in commit["words"]]
    matched = SequenceMatcher(None, [word["text"] for word in words], list(said.words), autojunk=False)
    pairs = [(words[a + n], said.spans[b + n]) for a, b, size in matched.get_matching_blocks() for n in range(size)]
    assert len(pairs) >= 0.75 * len(said.words)  # a word that is taken for another has no time here

    starts = [abs(word["start"] - span[0] / SAMPLE_RATE) for word, span in pairs]
    ends = [abs(word["end"] - span[1] / SAMPLE_RATE) for word, span in pairs]
    assert median(starts) < 0.1
    assert median(ends) < 0.1


async def test_twenty_clients_at_once_get_their_own_words_from_shared_batches(port):
    said = [say(SPEAKERS[n % 4], 6, seed=100 + n) for n in range(20)]
    alone = [await stream(port, one) for one in said[:4]]
    together = await asyncio.gather(*(stream(port, one) for one in said))

    assert [heard.words for heard in together[:4]] == [heard.words for heard in alone]
    wrong = sum(errors(heard.words, list(one.words)) for heard, one in zip(together, said, strict=True))
    assert wrong <= 0.05 * 120
    metrics = await asyncio.to_thread(lambda: urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    buckets = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if "batch_size_bucket" in line)
    ones, every = (float(value) for key, value in buckets.items() if 'le="1.0"' in key or 'le="+Inf"' in key)
    assert every > ones


async def test_a_long_stretch_without_a_pause_loses_and_doubles_nothing_at_trims(port):
    said = say("george", 75, seed=6, pauses=(0.05, 0.25), every=1000)
    assert len(said.audio) > 37 * SAMPLE_RATE
    heard = await stream(port, said)

    assert len({message["utterance"] for message in heard.of("final")}) < 5, "hardly a pause ends an utterance here"
    assert errors(heard.words, list(said.words)) <= 0.1 * 75
