"""What a session tells its client. Pure data; times are absolute sample indices at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from model.types import Word


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was detected; an utterance begins."""

    utterance: int
    """1, 2, 3 … per session."""
    start: int
    lag: int | None = None
    """Samples received but not yet decoded when this was said; None before the first decode of the utterance."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The tail of an utterance after its commits: replaces the partial before it, and may still change."""

    utterance: int
    text: str
    start: int
    end: int
    lag: int | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Words that will never change. The concatenation of an utterance's commit texts is its transcript."""

    id: int
    """1, 2, 3 … per session, without gaps."""
    utterance: int
    text: str
    """Concatenate as it is; starts with a space where one belongs, never at the start of an utterance."""
    start: int
    end: int
    words: tuple[Word, ...]
    lag: int | None = None
    durable: bool | None = None
    """Whether it is on the disk; None if its session is not journalled."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance's audio is complete; its final decode follows."""

    utterance: int
    end: int
    lag: int | None = None
    audio_end: int | None = None
    """Sample index where its audio ends: `end`, and the silence that ended it."""


@dataclass(frozen=True, slots=True)
class Final:
    """The utterance is decided: text is the concatenation of its commits."""

    utterance: int
    text: str
    start: int
    end: int
    language: str
    lag: int | None = None


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything received before the flush with this id is decided."""

    id: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The client's message with this marker came here; told at once, in order with everything else."""

    marker: str
    at: int
    """Samples received before it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio from start to end was not transcribed, and why."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the client should know that costs no audio."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Paced:
    """From now on so much new audio is awaited between two updates: more under load, less after it."""

    interval: int
    """Samples."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The session cannot go on; what was committed stands."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """Everything is decided after a stop; the last event of a session."""

    audio: int
    """Samples received."""
    commits: int


Event: TypeAlias = (
    SpeechStarted | Partial | Commit | SpeechEnded | Final | Flushed | Marked | Gap | Warned | Paced | Failed | Done
)
