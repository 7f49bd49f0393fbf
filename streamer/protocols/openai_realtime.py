"""OpenAI's realtime interface, transcription sessions: JSON text both ways, audio in base64.

Theory of operation. The server speaks first; every wrong message gets an `error` and the session goes on. What a
message is answered with must come in order with what is told of the audio before it, so an answer is not sent but left
at its place of the stream (Mark) and given when the stream comes to that place (Marked). What a commit means for the
items is decided there too.

    commit   ─▶ Audio, Mark, Flush, Mark    between the marks the turn ends, without the words for one that ended itself
    clear    ─▶ Audio, Discard, Mark
    update   ─▶ Configure, Mark
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from model.types import Samples
from streamer.core import events
from streamer.core.audio import AudioDecoder
from streamer.core.commands import (
    Audio,
    Close,
    Command,
    Configure,
    Discard,
    ErrorCode,
    Flush,
    Mark,
    Message,
    ProtocolError,
)
from streamer.protocols import openai_beta, openai_session
from streamer.protocols.frames import Frame, write_frame
from streamer.protocols.handshake import Handshake, HandshakeError, House, language_code
from streamer.protocols.openai_items import Conversation
from streamer.protocols.openai_session import Settings
from streamer.protocols.openai_shapes import SettingError, parse

SUBPROTOCOL = "realtime"
MESSAGE_BYTES = 24 * 1_048_576
"""The largest message: 15 MiB of audio in base64, and some."""
MARKER = "openai"

CODES = {
    ErrorCode.BUSY: ("server_error", "rate_limit_exceeded"),
    ErrorCode.OVERLOADED: ("server_error", "rate_limit_exceeded"),
    ErrorCode.NOT_READY: ("server_error", "server_not_ready"),
    ErrorCode.SHUTTING_DOWN: ("server_error", "server_shutting_down"),
    ErrorCode.IDLE_TIMEOUT: ("invalid_request_error", "session_expired"),
}
"""Type and code of what ends a session; anything else is an internal error."""
DECODER = msgspec.json.Decoder()


class OpenAIRealtimeCodec:
    """One client's side of the interface."""

    def __init__(self, handshake: Handshake, house: House) -> None:
        """Read the URL; `house` as the daemon is. Raises HandshakeError for what cannot be served."""
        if handshake.text("call_id") is not None:
            raise HandshakeError("call_id is not served: there are no calls here")
        self._session = handshake.session
        self._house = house
        model = handshake.text("transcription_model") or handshake.text("model")
        language = handshake.text("language")
        code = language_code(language, house.languages) if language else None
        self._settings = openai_session.first_settings(house, model, code)
        self._beta = openai_beta.asked_for(handshake)
        self._transcription = self._beta and handshake.text("intent") == "transcription"
        self._decoder = self._new_decoder()
        self._answers: deque[Callable[[int], Iterator[Frame]]] = deque()
        self._conversation = Conversation(handshake.session)
        self._conversation.beta = self._beta
        self._told = 0
        self._configure = self._settings.configure(house)

    def opening(self) -> Configure:
        """Return what holds before the client says anything."""
        return self._configure

    def welcome(self, session: str) -> Iterator[Message]:
        """Speak first."""
        del session  # known from the handshake
        kind = "transcription_session.created" if self._transcription else "session.created"
        yield self._text({"type": kind, "session": self._wire(self._settings)})

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means; what is wrong with it is answered, and changes nothing."""
        event_id: str | None = None
        try:
            event = read(message)
            event_id = text_or_none(event.get("event_id"))
            yield from self._decode(event, event_id)
        except SettingError as error:
            frame = complaint(error.code, error.message, error.param, event_id)
            yield self._answer(lambda _: iter([frame]))

    def leftover(self) -> Iterator[Samples]:
        """Yield what the resampler still holds."""
        yield self._decoder.flush()

    def encode(self, event: events.Event) -> Iterator[Message]:
        """Yield the messages for an event."""
        if isinstance(event, events.Marked):
            frames = self._answers.popleft()(event.at)
        else:
            frames = self._conversation.receive(event)
        for frame in frames:
            yield self._text(frame)

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Say why the session ends."""
        kind, code = CODES.get(error.code, ("server_error", "internal_error"))
        yield self._text(complaint(code, error.message, kind=kind))

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Close as OpenAI's server does; the reason is the error's type and code."""
        if error is None:
            return int(close), ""
        kind, code = CODES.get(error.code, ("server_error", "internal_error"))
        return int(Close.GOING_AWAY if error.code == ErrorCode.IDLE_TIMEOUT else close), f"{kind}.{code}"

    def _decode(self, event: dict[str, Any], event_id: str | None) -> Iterator[Command]:
        match event.get("type"):
            case "input_audio_buffer.append":
                yield from self._append(event)
            case "input_audio_buffer.commit":
                yield from self._commit(event_id)
            case "input_audio_buffer.clear":
                yield Audio(self._decoder.flush())
                yield Discard()
                yield self._answer(self._conversation.clear)
            case "session.update" | "transcription_session.update" as kind:
                yield from self._update(kind, event.get("session"))
            case None:
                raise SettingError("missing_required_parameter", "a message needs a type", "type")
            case other:
                known = "session.update, input_audio_buffer.append, .commit and .clear"
                raise SettingError("invalid_value", f"type must be one of {known}, got {str(other)[:80]!r}", "type")

    def _append(self, event: dict[str, Any]) -> Iterator[Command]:
        audio = event.get("audio")
        if not isinstance(audio, str):
            code = "missing_required_parameter" if audio is None else "invalid_type"
            raise SettingError(code, "audio must be a text of base64", "audio")
        try:
            data = b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise SettingError("invalid_value", f"audio must be base64: {error}", "audio") from None
        for samples in self._decoder.decode(data):
            yield Audio(samples)

    def _commit(self, event_id: str | None) -> Iterator[Command]:
        yield Audio(self._decoder.flush())
        yield self._answer(self._begin_commit)
        yield Flush(MARKER)
        yield self._answer(partial(self._end_commit, event_id))

    def _begin_commit(self, _: int) -> Iterator[Frame]:
        self._conversation.committing = True
        return iter(())

    def _end_commit(self, event_id: str | None, at: int) -> Iterator[Frame]:
        self._conversation.committing = False
        frames = list(self._conversation.commit(at))
        if not frames:
            message = "the buffer holds less than 100 ms of audio; nothing was committed"
            frames = [complaint("input_audio_buffer_commit_empty", message, event_id=event_id)]
        return iter(frames)

    def _update(self, kind: str, session: object) -> Iterator[Command]:
        """Take new settings, or none of them."""
        flat = self._beta or kind == "transcription_session.update"
        patch = openai_beta.parse(session) if flat else parse(session)
        settings = openai_session.merge(self._settings, patch, self._house)
        configure = settings.configure(self._house)
        before, self._settings, self._beta = self._settings, settings, flat
        if before.format != settings.format:
            yield Audio(self._decoder.flush())
            self._decoder = self._new_decoder()
        yield configure
        yield self._answer(partial(self._updated, kind, settings, flat))

    def _updated(self, kind: str, settings: Settings, beta: bool, _: int) -> Iterator[Frame]:
        self._conversation.beta = beta
        self._conversation.manual = settings.manual
        self._conversation.logprobs = openai_session.LOGPROBS in settings.include
        yield {"type": f"{kind}d", "session": self._wire(settings)}

    def _answer(self, answer: Callable[[int], Iterator[Frame]]) -> Mark:
        """Leave an answer at this place of the stream; it is given the sample index of the place."""
        self._answers.append(answer)
        return Mark(MARKER)

    def _new_decoder(self) -> AudioDecoder:
        return AudioDecoder(self._settings.format.encoding, self._settings.rate, channels=1)

    def _wire(self, settings: Settings) -> Frame:
        shape = openai_beta.wire(settings) if self._beta else settings.wire()
        return {"id": f"sess_{self._session}", **shape}

    def _text(self, frame: Frame) -> str:
        """Return a message as JSON, numbered."""
        self._told += 1
        return write_frame({"event_id": f"event_{self._session}_{self._told}", **frame})


def read(message: Message) -> dict[str, Any]:
    """Read a client's message. Raises SettingError for what is no JSON object."""
    if isinstance(message, bytes):
        raise SettingError("invalid_event", "messages are JSON text; audio goes into input_audio_buffer.append", "")
    try:
        event = DECODER.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise SettingError("invalid_json", f"a message must be JSON: {str(error)[:200]}", "") from None
    if not isinstance(event, dict):
        raise SettingError("invalid_json", f"a message must be a JSON object, got {type(event).__name__}", "")
    return event


def text_or_none(value: object) -> str | None:
    """Return a client's event_id if it is one."""
    return value[:512] if isinstance(value, str) else None


def complaint(
    code: str, message: str, param: str = "", event_id: str | None = None, kind: str = "invalid_request_error"
) -> Frame:
    """Return an `error`; `event_id` is the client's."""
    error = {"type": kind, "code": code, "message": message, "param": param or None, "event_id": event_id}
    return {"type": "error", "error": error}
