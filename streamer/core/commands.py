"""What every wire protocol is translated to and from: the seam between the wire and the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol, TypeAlias

from model.types import Samples, Task
from streamer.core.events import Event


class Close(IntEnum):
    """Why a connection is closed: WebSocket close codes (RFC 6455, 7.4.1, and the IANA registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNREADABLE = 1007
    NOT_ALLOWED = 1008
    TOO_BIG = 1009
    OUR_FAULT = 1011
    RESTARTING = 1012
    TRY_LATER = 1013
    UNKNOWN_SESSION = 4404
    TAKEN_OVER = 4409


class ErrorCode(StrEnum):
    """What went wrong, for programs; the message beside it is for people."""

    BAD_MESSAGE = "bad_message"
    """Not JSON, not a message of the protocol, an unknown field, a wrong type."""
    BAD_VALUE = "bad_value"
    """A field's value that is not allowed."""
    BAD_SAMPLES = "bad_samples"
    """Samples that are no numbers."""
    INCOMPLETE_SAMPLE = "incomplete_sample"
    """The audio ended inside a sample."""
    UNEXPECTED_MESSAGE = "unexpected_message"
    """A message at a time when it is not allowed."""
    MESSAGE_TOO_BIG = "message_too_big"
    OPEN_TIMEOUT = "open_timeout"
    """No first message in time."""
    IDLE_TIMEOUT = "idle_timeout"
    """Nothing from the client for too long."""
    SLOW_CLIENT = "slow_client"
    """The client does not take what it is sent; only counted, for it cannot be told."""
    RECOGNITION_FAILED = "recognition_failed"
    INTERNAL = "internal"
    BUSY = "busy"
    """All sessions are taken."""
    OVERLOADED = "overloaded"
    """There is no time for one more stream."""
    NOT_READY = "not_ready"
    """Recognition is not happening at the moment."""
    SHUTTING_DOWN = "shutting_down"
    RESUME_UNKNOWN = "resume_unknown"
    """No such session can be resumed here (any more), or not with this token."""
    TAKEN_OVER = "taken_over"
    """The session goes on over a newer connection."""


class ProtocolError(Exception):
    """The end of a conversation: what is said to the client, and the code the connection closes with."""

    def __init__(self, code: ErrorCode, message: str, close: Close) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.close = close


@dataclass(frozen=True, slots=True)
class Claim:
    """A client wants its session back."""

    session: str
    token: str
    epoch: str
    have: int
    """Id of the last commit it has; 0 for none."""
    covered: int
    """Frames, at its own rate, of which it has the text or knows that there is none."""
    first: int
    """The first frame it can still send."""


@dataclass(frozen=True, slots=True)
class Configure:
    """The client says what it will send and what it wants; first, and again where a protocol allows it.

    The second and later ones hold for the speech that begins after them, but their silence counts at once.
    """

    language: str | None = None
    languages: tuple[str, ...] = ()
    """Codes that detection may choose from; empty leaves it to the daemon's settings."""
    task: Task = Task.TRANSCRIBE
    context: str = ""
    """Names, spelling, topic: what the client said about the audio, hotwords included."""
    partials: bool = True
    hangover_ms: int | None = None
    """Silence that ends an utterance; None leaves it to the daemon's settings."""
    pre_roll_ms: int | None = None
    """Audio kept from before the speech; None as above."""
    resumable: bool = False
    """Whether the session outlives its connection for a while."""
    claim: Claim | None = None
    """The session that is to go on."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """The next samples: float32 (n,), mono, 16 kHz, in [-1, 1]."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Flush:
    """Decide everything received so far, then say so with this marker."""

    marker: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Say this marker at once, in order with what is told of the audio before it."""

    marker: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget the speech that is going on: nothing more is said of it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The next samples will never come: decide what came before, and say Gap."""

    samples: int
    """0 where the audio breaks off and it is not known yet for how long."""
    reason: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Say this at once: whoever hears the session should know."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream is complete."""

    error: ProtocolError | None = None
    """What is wrong with the stream as a whole: told once everything that could be read is decided."""


Command: TypeAlias = Configure | Audio | Flush | Mark | Discard | Missing | Warn | Stop
Message: TypeAlias = str | bytes


class Codec(Protocol):
    """One wire protocol, one instance per connection: it may remember what it has seen."""

    def decode(self, message: Message) -> Iterator[Command]:
        """Yield what a client's message means, lazily, so that a long one can be taken in turns with other work.

        Raises ProtocolError for what the protocol does not allow.
        """
        ...

    def leftover(self) -> Iterator[Samples]:
        """Yield audio still held back for a client that went without a word, such as a resampler's delay."""
        ...

    def welcome(self, session: str) -> Iterator[Message]:
        """Answer Configure."""
        ...

    def encode(self, event: Event) -> Iterator[Message]:
        """Yield the messages that tell a client of an event; there may be none."""
        ...

    def refuse(self, error: ProtocolError) -> Iterator[Message]:
        """Yield the last words before closing."""
        ...

    def opening(self) -> Configure | None:
        """Return what is wanted if that is known before the client's first message; None waits for its Configure."""
        ...

    def closing(self, close: Close, error: ProtocolError | None) -> tuple[int, str]:
        """Return the code and the reason that the protocol's clients expect when the connection is closed."""
        ...
