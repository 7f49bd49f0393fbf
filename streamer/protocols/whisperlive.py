"""WhisperLive's protocol: JSON options, float32 samples at 16 kHz, and the last segments whenever they change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from model.types import SAMPLE_RATE, Samples, Task
from streamer.core import events
from streamer.core.audio import AudioDecoder, Encoding
from streamer.core.commands import Audio, Close, Command, Configure, ErrorCode, Mark, Message, ProtocolError, Stop
from streamer.core.hotwords import with_hotwords
from streamer.protocols.checks import check_choice, readable_audio, shorten
from streamer.protocols.frames import write_frame
from streamer.protocols.handshake import Handshake, House
from streamer.protocols.whisperlive_segments import Segments

END = b"END_OF_AUDIO"
# Clients keep what they hear, for their subtitles, from a backend of this name only.
READY = {"message": "SERVER_READY", "backend": "faster_whisper"}
NOBODYS_MISTAKE = frozenset({ErrorCode.SHUTTING_DOWN, ErrorCode.IDLE_TIMEOUT})

Text = Annotated[str, msgspec.Meta(max_length=2_000)]


class Options(msgspec.Struct):
    """A client's first message. Fields that are not here are ignored."""

    uid: Text = ""
    """The client's own name, which every message to it repeats."""
    language: Text | None = None
    task: Text = Task.TRANSCRIBE
    initial_prompt: Text | None = None
    hotwords: Text | None = None
    send_last_n_segments: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


DECODER = msgspec.json.Decoder(Options)


class WhisperLiveCodec:
    """One client's side of the protocol."""

    def __init__(self, handshake: Handshake, house: House) -> None:
        """Read nothing from the URL: the first message says everything."""
        del handshake
        self._house = house
        self._options: Options | None = None
        self._segments = Segments(0)
        self._decoder = AudioDecoder(Encoding.PCM_F32LE, SAMPLE_RATE, 1)
        self._language: str | None = None
        self._stopped = False

    def opening(self) -> Configure:
        """Begin at once: the options come before any audio that they hold for."""
        return Configure()

    def welcome(self, session: str) -> Iterator[Message]:
        """Say nothing: clients wait for the answer to their options."""
        del session
        yield from ()

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means; texts after the first mean nothing. Raises ProtocolError."""
        if self._stopped:
            return
        if self._options is None:
            self._options = options = self._read(message)
            self._segments = Segments(options.send_last_n_segments)
            self._language = options.language or None
            context = with_hotwords(options.initial_prompt or "", [options.hotwords or ""])
            yield Configure(language=self._language, task=Task(options.task), context=context)
            yield Mark("ready")
        elif message == END:
            self._stopped = True
            yield Stop()
        elif isinstance(message, bytes):
            with readable_audio():
                yield from map(Audio, self._decoder.decode(message))

    def leftover(self) -> Iterator[Samples]:
        """Yield nothing: at 16 kHz nothing is held back."""
        yield from ()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the messages for an event."""
        if isinstance(event, events.Marked):
            yield self._tell(**READY)
        elif isinstance(event, events.Final) and event.language and self._language is None:
            self._language = event.language  # how sure that is, nobody has said
            yield self._tell(language=event.language)
        if segments := self._segments.receive(event):
            yield self._tell(segments=segments)

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say what is wrong, or that the server does not go on."""
        left = error.code in NOBODYS_MISTAKE
        yield self._tell(message="DISCONNECT") if left else self._tell(status="ERROR", message=error.message)

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close with the daemon's own codes."""
        return int(close), error.code if error else ""

    def _read(self, message: Message) -> Options:
        """Return the first message. Raises ProtocolError for anything but options that can be met."""
        try:
            options = DECODER.decode(message if isinstance(message, str) else "")
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            complaint = f"the first message must be a JSON object with the options: {shorten(str(error))}"
            raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE) from None
        check_choice("task", options.task, list(self._house.tasks))
        if options.language:
            check_choice("language", options.language, sorted(self._house.languages))
        return options

    def _tell(self, **fields: Any) -> str:
        return write_frame({"uid": self._options.uid if self._options else "", **fields})
