"""The native protocol: JSON text for control, binary for audio. `docs/protocol.md` is its description."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NoReturn, assert_never

import msgspec

from model.types import SAMPLE_RATE, Samples, Task
from streamer.core import events
from streamer.core.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioDecoder, Encoding
from streamer.core.commands import (
    Audio,
    Claim,
    Close,
    Command,
    Configure,
    ErrorCode,
    Flush,
    Message,
    Missing,
    ProtocolError,
    Stop,
)
from streamer.core.hotwords import with_hotwords
from streamer.protocols import messages
from streamer.protocols.checks import (
    check_choice,
    check_hotwords,
    check_languages,
    check_length,
    check_most,
    check_range,
    readable_audio,
    shorten,
)
from streamer.protocols.native_messages import message_of, text
from streamer.protocols.resumption import MOST, Offsets, Welcome, claimed

MAX_PROMPT_CHARACTERS = 2_000
"""Several times what fits into the decoder's 223 prompt tokens."""
MAX_MARKER_CHARACTERS = 128
LOST = "lost while the connection was down"

DECODER: msgspec.json.Decoder[messages.FromClient] = msgspec.json.Decoder(messages.FromClient)


class NativeCodec:
    """One client's side of the native protocol."""

    def __init__(self, model: str, languages: Collection[str], tasks: Collection[Task] = tuple(Task)) -> None:
        """`model`, `languages` and `tasks` as the model's card says them."""
        self._model = model
        self._languages = languages
        self._tasks = tasks
        self._audio: AudioDecoder | None = None
        self._sample_rate = SAMPLE_RATE
        self._words = True
        self._format = ("", 0, 0)
        self._stopped = False
        self._resumed = False
        self._offsets = Offsets(SAMPLE_RATE)
        self._begun = 0  # the client's frame that the decoder was begun at

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means. Raises ProtocolError."""
        if isinstance(message, bytes):
            return self._decode_audio(message)
        match self._parse(message):
            case messages.Start() as start:
                return self._start(start)
            case messages.Flush() as flush:
                return self._flush(flush)
            case messages.Stop():
                return self._stop()
            case unreachable:
                assert_never(unreachable)

    def leftover(self) -> Iterator[Samples]:
        """Yield what the resampler still holds, unless the client has stopped."""
        if self._audio is not None and not self._stopped:
            yield self._audio.flush()

    def welcome(self, session: str) -> Iterator[Message]:
        """Answer `start`."""
        yield text(messages.Ready(session=session, model=self._model, sample_rate=self._sample_rate))

    @property
    def received(self) -> int:
        """Frames (a sample of every channel) taken so far, from the start of the stream, at the client's rate."""
        return self._begun + (self._audio.frames if self._audio is not None else 0)

    def begin_at(self, sample: int) -> None:
        """Go on with a stream of which everything up to a sample index is decided; the next frame is `received`."""
        self._begun = self._offsets.frames(sample)

    def take_over(self, first: int) -> Iterator[Command]:
        """Go on over another connection, whose client has its audio from frame `first` on; it sends from `received` on.

        The bytes of a frame that was not complete come again. Frames between `received` and `first` are lost.
        """
        assert self._audio is not None, "a session that is resumed has begun"
        self._audio.drop_rest()
        self._resumed = True
        lost = first - self.received
        if self._stopped or lost <= 0:
            return
        yield Audio(self._audio.flush())
        yield Missing(self._offsets.samples(first) - self._offsets.samples(self.received), LOST)
        self._begun = first
        self._audio = self._audio.anew()

    def alike(self, other: NativeCodec) -> bool:
        """Say whether another client sends its audio in the same way."""
        return self._format == other._format

    def readmit(self, welcome: Welcome) -> Iterator[Message]:
        """Answer `start` of a session that can be resumed, the first time or again."""
        session, token, epoch, resume_from = welcome.session, welcome.token, welcome.epoch, welcome.resume_from
        ready = messages.Ready(session, self._model, self._sample_rate, token, epoch, resume_from)
        yield text(ready)

    def acknowledge(self, settled: int) -> Iterator[Message]:
        """Say how much was received, and up to where (a sample index) it is decided."""
        # A sample may stand for a part of a frame that has not come: at 48 kHz two frames are already the first sample.
        yield text(messages.Ack(self.received, min(self.received, self._offsets.frames(settled))))

    def covered(self, claim: Claim) -> int:
        """Return the sample index up to which a client holds text or knows that there is none."""
        return self._offsets.samples(claim.covered)

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the message for an event."""
        message = message_of(event, named=self._words)
        if message is not None:
            yield text(message)

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say what is wrong."""
        yield text(messages.Error(code=error.code, message=error.message))

    def opening(self) -> Configure | None:
        """Wait for `start`."""
        return None

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close with the daemon's own codes, and the error's name."""
        return int(close), error.code if error else ""

    def _parse(self, message: str) -> messages.FromClient:
        try:
            return DECODER.decode(message)
        except msgspec.ValidationError as error:
            allowed = "; type must be start, flush or stop" if "`type`" in str(error) or "$.type" in str(error) else ""
            raise ProtocolError(ErrorCode.BAD_MESSAGE, f"{shorten(str(error))}{allowed}", Close.UNREADABLE) from None
        except (msgspec.DecodeError, RecursionError) as error:
            complaint = f"a text message must be a JSON object: {shorten(str(error))}"
            raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE) from None

    def _start(self, start: messages.Start) -> Iterator[Command]:
        if self._audio is not None:
            self._unexpected("start was already received; a connection carries one stream")
        check_range("sample_rate", start.sample_rate, MIN_RATE, MAX_RATE)
        check_range("channels", start.channels, 1, MAX_CHANNELS)
        check_choice("encoding", start.encoding, list(Encoding))
        check_choice("task", start.task, list(self._tasks))
        check_length("prompt", start.prompt, MAX_PROMPT_CHARACTERS)
        check_hotwords(start.hotwords)
        check_languages(start.language, start.languages, self._languages)
        for name in ("have", "covered", "first") if start.resume is not None else ():
            check_most(f"resume.{name}", getattr(start.resume, name), MOST)
        self._format = start.encoding, start.sample_rate, start.channels
        self._offsets = Offsets(start.sample_rate)
        self._audio = AudioDecoder(Encoding(start.encoding), start.sample_rate, start.channels)
        self._sample_rate = start.sample_rate
        self._words = start.words
        yield Configure(
            language=start.language,
            languages=tuple(dict.fromkeys(start.languages)),
            task=Task(start.task),
            context=with_hotwords(start.prompt, start.hotwords),
            partials=start.partials,
            resumable=start.resumable or start.resume is not None,
            claim=claimed(start.resume) if start.resume is not None else None,
        )

    def _decode_audio(self, data: bytes) -> Iterator[Command]:
        if self._repeats:
            return
        decoder = self._open_audio("audio")
        with readable_audio():
            for samples in decoder.decode(data):
                yield Audio(samples)

    def _flush(self, flush: messages.Flush) -> Iterator[Command]:
        check_length("id", flush.id, MAX_MARKER_CHARACTERS)
        if self._repeats:
            return
        decoder = self._open_audio("flush")
        yield Audio(decoder.flush())
        yield Flush(flush.id)

    def _stop(self) -> Iterator[Command]:
        if self._stopped:  # pressing stop twice is no reason to lose the text
            return
        decoder = self._open_audio("stop")
        self._stopped = True
        yield Audio(decoder.flush())
        yield Stop(self._incomplete(decoder.rest) if decoder.rest else None)

    @property
    def _repeats(self) -> bool:
        """Whether the client says again what stood before its `stop`: it cannot know that all of it was received."""
        return self._stopped and self._resumed

    def _open_audio(self, what: str) -> AudioDecoder:
        """Return the decoder while audio may come."""
        if self._audio is None:
            self._unexpected(f"{what} came before start; the first message must be start")
        if self._stopped:
            self._unexpected(f"{what} came after stop")
        return self._audio

    def _unexpected(self, complaint: str) -> NoReturn:
        raise ProtocolError(ErrorCode.UNEXPECTED_MESSAGE, complaint, Close.NOT_ALLOWED)

    def _incomplete(self, rest: int) -> ProtocolError:
        complaint = f"the audio ended with {rest} byte{'s' * (rest > 1)} of an incomplete sample"
        return ProtocolError(ErrorCode.INCOMPLETE_SAMPLE, complaint, Close.UNREADABLE)
