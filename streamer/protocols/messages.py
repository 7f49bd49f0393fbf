"""The native protocol's messages as they are on the wire; `docs/protocol.md` says what they mean."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from model.types import SAMPLE_RATE


class ClientMessage(Struct, tag_field="type", forbid_unknown_fields=True, frozen=True):
    """What a client may say in JSON."""


class Resume(Struct, forbid_unknown_fields=True, frozen=True):
    """Which session goes on, and what its client has of it."""

    session: str
    token: str
    epoch: str
    have: int = 0
    """Id of the last commit."""
    covered: int = 0
    """Frames of the stream that are acknowledged or lie before the end of that commit."""
    first: int = 0
    """The first frame that can still be sent."""


class Start(ClientMessage, tag="start", frozen=True):
    """Opens a session; always the first message."""

    sample_rate: int = SAMPLE_RATE
    encoding: str = "pcm_s16le"
    channels: int = 1
    language: str | None = None
    task: str = "transcribe"
    prompt: str = ""
    partials: bool = True
    words: bool = True
    languages: list[str] = []
    hotwords: list[str] = []
    resumable: bool = False
    resume: Resume | None = None


class Flush(ClientMessage, tag="flush", frozen=True):
    """Asks for everything before it to be decided."""

    id: str = ""


class Stop(ClientMessage, tag="stop", frozen=True):
    """Ends the stream."""


FromClient: TypeAlias = Start | Flush | Stop


class ServerMessage(Struct, tag_field="type", frozen=True, omit_defaults=True):
    """What the server says. Times are seconds from the start of the stream; what is unknown is left out."""


class Ready(ServerMessage, tag="ready", frozen=True):
    """The session is open."""

    session: str
    model: str
    sample_rate: int
    resume_token: str | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    resume_from: int | UnsetType = UNSET


class Ack(ServerMessage, tag="ack", frozen=True):
    """What need not be sent again, in frames at the client's rate."""

    received: int
    committed: int


class SpeechStarted(ServerMessage, tag="speech_started", frozen=True):
    """An utterance begins."""

    utterance: int
    start: float
    lag: float | UnsetType = UNSET


class Partial(ServerMessage, tag="partial", frozen=True):
    """The tail after the commits, which may still change."""

    utterance: int
    text: str
    start: float
    end: float
    lag: float | UnsetType = UNSET


class Word(Struct, frozen=True):
    """A committed word."""

    text: str
    start: float
    end: float
    probability: float


class Commit(ServerMessage, tag="commit", frozen=True):
    """Words that will never change."""

    id: int
    utterance: int
    text: str
    start: float
    end: float
    words: list[Word] | UnsetType = UNSET
    lag: float | UnsetType = UNSET
    durable: bool | UnsetType = UNSET


class SpeechEnded(ServerMessage, tag="speech_ended", frozen=True):
    """The utterance's audio is complete."""

    utterance: int
    end: float
    lag: float | UnsetType = UNSET


class Final(ServerMessage, tag="final", frozen=True):
    """The utterance is decided."""

    utterance: int
    text: str
    start: float
    end: float
    language: str
    lag: float | UnsetType = UNSET


class Flushed(ServerMessage, tag="flushed", frozen=True):
    """Everything before the flush is decided."""

    id: str


class Gap(ServerMessage, tag="gap", frozen=True):
    """Audio that was not transcribed."""

    start: float
    end: float
    reason: str


class Warning(ServerMessage, tag="warning", frozen=True):  # noqa: A001  # the wire's name; nothing here warns in Python's sense
    """Something to know."""

    code: str
    message: str


class Pace(ServerMessage, tag="pace", frozen=True):
    """How often the stream is decoded from now on."""

    interval: float


class Error(ServerMessage, tag="error", frozen=True):
    """The session ends here."""

    code: str
    message: str


class Done(ServerMessage, tag="done", frozen=True):
    """Everything is decided."""

    audio: float
    commits: int
