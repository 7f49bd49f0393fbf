"""What is checked of a client's values, each refused by name with what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from streamer.core.audio import AudioError
from streamer.core.commands import Close, ErrorCode, ProtocolError

MAX_HOTWORDS, MAX_HOTWORD_CHARACTERS = 100, 64
"""More than a prompt holds; what does not fit is left out, the first ones first."""
MAX_LANGUAGES = 100
"""As many as Whisper has."""
MAX_QUOTED_CHARACTERS = 80
"""Of a client's own words, when a message to it repeats them."""


def shorten(words: str) -> str:
    """Return a client's words fit to be repeated: short."""
    return words if len(words) <= MAX_QUOTED_CHARACTERS else f"{words[:MAX_QUOTED_CHARACTERS]}…"


def refuse(complaint: str) -> ProtocolError:
    """Return the error for a value that is not allowed."""
    return ProtocolError(ErrorCode.BAD_VALUE, complaint, Close.NOT_ALLOWED)


@contextmanager
def readable_audio(close: Close = Close.UNREADABLE) -> Generator[None]:
    """Raise ProtocolError, which closes with `close`, for audio that cannot be read."""
    try:
        yield
    except AudioError as error:
        raise ProtocolError(ErrorCode.BAD_SAMPLES, str(error), close) from None


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raise ProtocolError unless low <= value <= high."""
    if not low <= value <= high:
        raise refuse(f"{name} must be in [{low}, {high}], got {value}")


def check_most(name: str, value: int, most: int) -> None:
    """Raise ProtocolError for a value, of any size, that is larger than `most`."""
    if value > most:
        raise refuse(f"{name} must be at most {most}, got {shorten(str(value))}")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ProtocolError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise refuse(f"{name} must be one of {', '.join(allowed)}, got {shorten(repr(value))}")


def check_length(name: str, value: str, limit: int) -> None:
    """Raise ProtocolError for a text that is too long."""
    if len(value) > limit:
        raise refuse(f"{name} may have {limit} characters, got {len(value)}")


def check_count(name: str, count: int, limit: int) -> None:
    """Raise ProtocolError for a list that is too long: each stream's questions carry it, and others wait for them."""
    if count > limit:
        raise refuse(f"{name} may be {limit} at most, got {count}")


def check_languages(language: str | None, languages: Sequence[str], known: Collection[str]) -> None:
    """Raise ProtocolError for a language that is not known, or one that its own allow-list leaves out."""
    check_count("languages", len(languages), MAX_LANGUAGES)
    allowed = sorted(known)
    if language is not None:
        check_choice("language", language, allowed)
    for code in languages:
        check_choice("languages", code, allowed)
    if language is not None and languages:
        check_choice("language", language, languages)


def check_hotwords(hotwords: Sequence[str]) -> None:
    """Raise ProtocolError for too many words, or too long ones."""
    check_count("hotwords", len(hotwords), MAX_HOTWORDS)
    for word in hotwords:
        check_length("one of hotwords", word, MAX_HOTWORD_CHARACTERS)
