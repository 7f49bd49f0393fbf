"""The native protocol: JSON text for control, binary for audio. `docs/protocol.md` is its description."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NoReturn, assert_never

import msgspec

from model.types import SAMPLE_RATE, Samples, Task
from model.types import Word as HeardWord
from streamer import events
from streamer.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioDecoder, Encoding
from streamer.hotwords import with_hotwords
from streamer.protocols import messages
from streamer.protocols.checks import (
    check_choice,
    check_hotwords,
    check_languages,
    check_length,
    check_range,
    readable_audio,
    shorten,
)
from streamer.protocols.commands import (
    Audio,
    Close,
    Command,
    Configure,
    ErrorCode,
    Flush,
    Message,
    ProtocolError,
    Stop,
)

MAX_PROMPT_CHARACTERS = 2_000
"""Several times what fits into the decoder's 223 prompt tokens."""
MAX_MARKER_CHARACTERS = 128

DECODER: msgspec.json.Decoder[messages.FromClient] = msgspec.json.Decoder(messages.FromClient)
ENCODER = msgspec.json.Encoder()


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
        self._stopped = False

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

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the message for an event."""
        message = self._message(event)
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
        self._audio = AudioDecoder(Encoding(start.encoding), start.sample_rate, start.channels)
        self._sample_rate = start.sample_rate
        self._words = start.words
        yield Configure(
            language=start.language,
            languages=tuple(start.languages),
            task=Task(start.task),
            context=with_hotwords(start.prompt, start.hotwords),
            partials=start.partials,
        )

    def _decode_audio(self, data: bytes) -> Iterator[Command]:
        decoder = self._open_audio("audio")
        with readable_audio():
            for samples in decoder.decode(data):
                yield Audio(samples)

    def _flush(self, flush: messages.Flush) -> Iterator[Command]:
        decoder = self._open_audio("flush")
        check_length("id", flush.id, MAX_MARKER_CHARACTERS)
        yield Audio(decoder.flush())
        yield Flush(flush.id)

    def _stop(self) -> Iterator[Command]:
        if self._stopped:  # pressing stop twice is no reason to lose the text
            return
        decoder = self._open_audio("stop")
        self._stopped = True
        yield Audio(decoder.flush())
        yield Stop(self._incomplete(decoder.rest) if decoder.rest else None)

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

    def _message(  # noqa: C901, PLR0911, PLR0912  # a table: one line an event
        self, event: events.Event
    ) -> messages.ServerMessage | None:
        match event:
            case events.SpeechStarted(utterance, start, lag):
                return messages.SpeechStarted(utterance, seconds(start), maybe_seconds(lag))
            case events.Partial(utterance, words, start, end, lag):
                return messages.Partial(utterance, words, seconds(start), seconds(end), maybe_seconds(lag))
            case events.Commit():
                return self._commit(event)
            case events.SpeechEnded(utterance=utterance, end=end, lag=lag):
                return messages.SpeechEnded(utterance, seconds(end), maybe_seconds(lag))
            case events.Final(utterance, words, start, end, language, lag):
                return messages.Final(utterance, words, seconds(start), seconds(end), language, maybe_seconds(lag))
            case events.Flushed(marker):
                return messages.Flushed(marker)
            case events.Marked():
                return None  # this protocol marks nothing
            case events.Gap(start, end, reason):
                return messages.Gap(seconds(start), seconds(end), reason)
            case events.Warned(code, message):
                return messages.Warning(code, message)
            case events.Paced(interval):
                return messages.Pace(seconds(interval))
            case events.Failed(code, message):
                return messages.Error(code, message)
            case events.Done(audio, commits):
                return messages.Done(seconds(audio), commits)
            case unreachable:
                assert_never(unreachable)

    def _commit(self, commit: events.Commit) -> messages.Commit:
        words = [wire_word(word) for word in commit.words] if self._words else msgspec.UNSET
        start, end, lag = seconds(commit.start), seconds(commit.end), maybe_seconds(commit.lag)
        return messages.Commit(commit.id, commit.utterance, commit.text, start, end, words, lag)


def text(message: messages.ServerMessage) -> str:
    """Return a message as JSON."""
    return ENCODER.encode(message).decode()


def wire_word(word: HeardWord) -> messages.Word:
    """Return a word as clients see it: without its leading space, times in seconds."""
    return messages.Word(word.text.strip(), seconds(word.start), seconds(word.end), round(word.probability, 4))


def seconds(samples: int) -> float:
    """Return a number of samples as seconds, exactly."""
    return samples / SAMPLE_RATE


def maybe_seconds(samples: int | None) -> float | msgspec.UnsetType:
    """Return a number of samples as seconds, and nothing for nothing."""
    return msgspec.UNSET if samples is None else seconds(samples)
