"""A codec and a session without a network: messages in, messages out, in an order that is always the same."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import numpy as np
import soxr

from model.types import SAMPLE_RATE, Hypothesis, Samples
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.audio import ALAW, MULAW
from streamer.core.commands import Audio, Codec, Command, Configure, Discard, Flush, Mark, Stop
from streamer.core.endpoint import adjusted
from streamer.core.session import Session
from streamer.protocols.handshake import Handshake, House
from tests.fakes import LevelVad
from tests.streamer.harness import RippleRecognizer

HOUSE = House("demo", ("en", "de"))
SESSION = "abc"


def shaken(query: str = "", **fields: Any) -> Handshake:
    """A handshake with a query such as `a=1&b=2`."""
    pairs = tuple((key, value) for key, _, value in (pair.partition("=") for pair in query.split("&") if pair))
    return Handshake(SESSION, "2026-01-02T03:04:05.000+00:00", pairs, **fields)


class Stage:
    """Plays a codec on a session. `slow` leaves the recognizer unasked until the next `settle`."""

    def __init__(self, codec: Codec, *, slow: bool = False) -> None:
        configure = codec.opening()
        assert configure is not None
        endpoint = adjusted(EndpointConfig(), configure.hangover_ms, configure.pre_roll_ms)
        self.codec = codec
        self.session = Session("s", SessionConfig(), endpoint, LevelVad(), partials=configure.partials)
        self.recognizer = RippleRecognizer()
        self.slow = slow
        self.told: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self._tell(codec.welcome("s"))

    def say(self, *messages: dict[str, Any] | str | bytes) -> list[dict[str, Any]]:
        """Send messages; return what was told meanwhile."""
        before = len(self.told)
        for message in messages:
            for command in self.codec.decode(json.dumps(message) if isinstance(message, dict) else message):
                self.commands.append(command)
                self._do(command)
                if not self.slow:
                    self.settle()
        return self.told[before:]

    def settle(self) -> list[dict[str, Any]]:
        """Let the recognizer answer everything."""
        before = len(self.told)
        self.take()
        while (request := self.session.next_request()) is not None:
            self.session.receive_hypothesis(self.answer(self.recognizer.answer(request)))
            self.take()
        return self.told[before:]

    def answer(self, hypothesis: Hypothesis) -> Hypothesis:
        """Return what the session hears of a hypothesis."""
        return hypothesis

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the messages of some types."""
        return [message for message in self.told if message["type"] in kinds]

    @property
    def kinds(self) -> list[str]:
        """The types of everything told."""
        return [message["type"] for message in self.told]

    def _do(self, command: Command) -> None:
        match command:
            case Audio(samples):
                self.session.receive_audio(samples)
            case Flush(marker):
                self.session.receive_flush(marker)
            case Mark(marker):
                self.session.receive_mark(marker)
            case Discard():
                self.session.discard()
            case Configure():
                self.session.reconfigure(command)
            case Stop():
                self.session.receive_eof()

    def take(self) -> None:
        """Let the codec tell of what happened, without asking the recognizer."""
        for event in self.session.events():
            self._tell(self.codec.encode(event))

    def _tell(self, messages: Iterable[str | bytes]) -> None:
        self.told += [json.loads(message) for message in messages]


def pcm(audio: Samples, rate: int = SAMPLE_RATE) -> bytes:
    """Encode as 16-bit integers at a rate."""
    return np.round(at(audio, rate) * 32_767).astype("<i2").tobytes()


def at(audio: Samples, rate: int) -> Samples:
    """Resample; an edge may overshoot a little."""
    return np.clip(soxr.resample(audio, SAMPLE_RATE, rate), -1, 1).astype(np.float32)


def g711(audio: Samples, name: str) -> bytes:
    """Encode at 8 kHz by the nearest level of a table."""
    table = {"mulaw": MULAW, "alaw": ALAW}[name]
    return np.abs(table[None, :] - at(audio, 8_000)[:, None]).argmin(axis=1).astype(np.uint8).tobytes()


def wav(data: bytes, channels: int = 1, length: int = 0xFFFF_FFFF) -> bytes:
    """A file of 16-bit samples at 16 kHz; if nothing is said its length is not known yet."""
    form = struct.pack("<HHIIHH", 1, channels, 16_000, 32_000 * channels, 2 * channels, 16)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length) + data


def append(data: bytes) -> dict[str, Any]:
    """OpenAI's message for audio."""
    return {"type": "input_audio_buffer.append", "audio": b64encode(data).decode()}


def appends(data: bytes, size: int = 4_800) -> list[dict[str, Any]]:
    """The same, in pieces."""
    return [append(data[at : at + size]) for at in range(0, len(data), size)]


def interleaved(*channels: Samples) -> Samples:
    """One signal of several channels; short ones end in silence."""
    length = max(map(len, channels))
    joined: Samples = np.stack([np.pad(c, (0, length - len(c))) for c in channels], axis=1).reshape(-1)
    return joined
