"""Wyoming, the protocol of Home Assistant's voice assistants: events over a TCP connection.

Theory of operation. `transcribe` says how, audio comes between `audio-start` and `audio-stop`, and each `audio-stop`
is answered with one transcript, of silence too. It is a Flush: what was said is decided, and Flushed comes behind it.
What is committed meanwhile is told at once, as chunks of which the transcript is the sum. Any number of such turns
follow each other on one connection and in one session; its questions are answered by marks, in order with the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from model.types import Samples
from streamer.core import events
from streamer.core.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioDecoder, Encoding
from streamer.core.commands import (
    Audio,
    Close,
    Command,
    Configure,
    ErrorCode,
    Flush,
    Mark,
    Message,
    ProtocolError,
    Stop,
)
from streamer.core.hotwords import fitting, with_hotwords
from streamer.protocols.checks import check_range, readable_audio, refuse, shorten
from streamer.protocols.handshake import HandshakeError, House, language_code
from streamer.protocols.wyoming_events import EventReader, WyomingEvent, write
from streamer.protocols.wyoming_questions import answer
from streamer.protocols.wyoming_turn import Turn

SAMPLE_BYTES = 2
"""Of the only width that anybody sends."""
MAX_TERMS_CHARACTERS = 2_000
"""Several times what fits into the decoder's 223 prompt tokens."""

SPEECH = frozenset({"transcribe", "audio-start", "audio-chunk", "audio-stop"})
"""Events that want a session."""

Kind = TypeVar("Kind")


class Format(msgspec.Struct):
    """How an event says its audio is written."""

    rate: int
    width: int
    channels: int


class Transcribe(msgspec.Struct):
    """A wish for a transcript. Which model, and how soon a command ends, is not for the client to say here."""

    language: str | None = None
    transcript_names: list[str] | None = None
    transcript_terms: list[str] | None = None


class WyomingCodec:
    """One client's side of the protocol."""

    def __init__(self, house: House, max_bytes: int) -> None:
        """`max_bytes` is what one event may have after its first line."""
        self._house = house
        self._events = EventReader(max_bytes)
        self._format: Format | None = None
        self._decoder: AudioDecoder | None = None
        self._asked: deque[WyomingEvent] = deque()
        self._turn = Turn()
        self._open = False
        """Whether an `audio-stop` is to come."""
        self._stopped = False

    def opening(self) -> Configure:
        """Begin at once: `transcribe` is optional, and comes before the audio that it holds for."""
        return Configure(partials=False)

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing: clients are told only what they ask for."""
        del session
        yield from ()

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what some of a client's bytes mean; none are the end of them. Raises ProtocolError."""
        assert isinstance(message, bytes), "a TCP connection carries bytes"
        if not message:
            self._stopped = True
            yield from self._flush()
            yield Stop()
            return
        for event in self._events.receive(message):
            yield from self._obey(event)

    def leftover(self) -> Iterator[Samples]:
        """Yield what the resampler still holds, unless the client has stopped."""
        if self._decoder is not None and not self._stopped:
            yield self._decoder.flush()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the messages for an event."""
        match event:
            case events.Commit(utterance=utterance, text=text):
                yield from map(write, self._turn.tell(utterance, text))
            case events.Final(language=language):
                self._turn.language = language
            case events.Marked():
                told = answer(self._asked.popleft(), self._house)
                assert told is not None, "only questions are marked"
                yield write(told)
            case events.Flushed():
                yield from self._end_turn()
            case events.Done() if self._open:
                yield from self._end_turn()

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say what is wrong."""
        yield write(WyomingEvent("error", {"text": error.message, "code": str(error.code)}))

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close; TCP knows no reasons."""
        del error
        return int(close), ""

    def _obey(self, event: WyomingEvent) -> Iterator[Command]:
        """Do what an event asks for; those of other services and of later versions are ignored."""
        match event.type:
            case "transcribe":
                yield self._configure(event)
            case "audio-start":
                self._open = True
                yield from self._take_format(event)
            case "audio-chunk":
                self._open = True
                yield from self._take_format(event)
                assert self._decoder is not None, "audio has a format"
                with readable_audio():
                    yield from map(Audio, self._decoder.decode(event.payload))
            case "audio-stop":
                self._open = False
                yield from self._flush()
                self._format = self._decoder = None
                yield Flush("")
            case "describe" | "ping":
                self._asked.append(event)
                yield Mark("")

    def _configure(self, event: WyomingEvent) -> Configure:
        wish = read(event, Transcribe)
        try:
            language = language_code(wish.language, self._house.languages) if wish.language else None
        except HandshakeError as error:
            raise refuse(str(error)) from None
        terms = fitting([*(wish.transcript_names or ()), *(wish.transcript_terms or ())], MAX_TERMS_CHARACTERS)
        return Configure(language=language, context=with_hotwords("", terms), partials=False)

    def _take_format(self, event: WyomingEvent) -> Iterator[Command]:
        """Read how audio is written; it may change within a stream, though nobody does that."""
        found = read(event, Format)
        if found == self._format:
            return
        check_range("rate", found.rate, MIN_RATE, MAX_RATE)
        check_range("channels", found.channels, 1, MAX_CHANNELS)
        check_range("width", found.width, SAMPLE_BYTES, SAMPLE_BYTES)
        yield from self._flush()
        self._format, self._decoder = found, AudioDecoder(Encoding.PCM_S16LE, found.rate, found.channels)

    def _flush(self) -> Iterator[Command]:
        if self._decoder is not None:
            yield Audio(self._decoder.flush())

    def _end_turn(self) -> Iterator[Message]:
        turn, self._turn = self._turn, Turn()
        yield from map(write, turn.end())


def read(event: WyomingEvent, kind: type[Kind]) -> Kind:
    """Return what an event's data is. Raises ProtocolError for data of another shape."""
    try:
        return msgspec.convert(event.data, kind)
    except msgspec.ValidationError as error:
        complaint = f"the data of {event.type} cannot be read: {shorten(str(error))}"
        raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE) from None
