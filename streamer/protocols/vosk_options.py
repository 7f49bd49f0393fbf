"""What a Vosk client asks for in its `config`. Fields nobody here knows are ignored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamer.core.audio import MAX_RATE, MIN_RATE
from streamer.core.hotwords import fitting, with_hotwords
from streamer.protocols.checks import refuse, shorten
from streamer.protocols.frames import Frame

RATE = 8_000
"""Hertz, unless the client says otherwise: telephones were there first."""
UNKNOWN = "[unk]"
"""What is none of a list's phrases; no phrase itself."""
MAX_PHRASES_CHARACTERS = 2_000
"""Several times what fits into the decoder's 223 prompt tokens."""


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for a stream, or from some place of it on."""

    rate: int = RATE
    words: bool = True
    """Whether results carry each word with its times."""
    alternatives: bool = False
    """Whether results are lists of alternatives; there is one."""
    phrases: str = ""
    """The phrases that are expected, as text."""


def changed(options: Options, config: object) -> Options:
    """Return the options as a `config` changes them. Raises ProtocolError for a value that is not allowed."""
    if not isinstance(config, dict):
        raise refuse(f"config must be an object, got {shorten(repr(config))}")
    alternatives = read_count(config, "max_alternatives")
    phrases = config.get("phrase_list")
    return replace(
        options,
        rate=read_rate(config["sample_rate"]) if "sample_rate" in config else options.rate,
        words=read_flag(config, "words", default=options.words),
        alternatives=options.alternatives if alternatives is None else alternatives > 0,
        phrases=options.phrases if phrases is None else read_phrases(phrases),
    )


def read_rate(value: object) -> int:
    """Return a sample rate, which clients write as a whole number, as a float or as text. Raises ProtocolError."""
    text = str(value).removesuffix(".0")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and MIN_RATE <= int(text) <= MAX_RATE):
        raise refuse(f"sample_rate must be a whole number in [{MIN_RATE}, {MAX_RATE}], got {shorten(repr(value))}")
    return int(text)


def read_flag(config: Frame, name: str, *, default: bool) -> bool:
    """Return a field that is true or false, as a truth value or as 1 or 0. Raises ProtocolError for another."""
    value = config.get(name, default)
    if value not in (True, False):
        raise refuse(f"{name} must be true or false, got {shorten(repr(value))}")
    return bool(value)


def read_count(config: Frame, name: str) -> int | None:
    """Return a field that is a number of things, None if there is none. Raises ProtocolError for another."""
    value = config.get(name)
    if value is not None and (not isinstance(value, int) or value < 0):
        raise refuse(f"{name} must be a whole number, 0 at least, got {shorten(repr(value))}")
    return value


def read_phrases(phrases: object) -> str:
    """Return a list of phrases as text, as many as may be, the first ones first. Raises ProtocolError."""
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise refuse(f"phrase_list must be a list of texts, got {shorten(repr(phrases))}")
    return with_hotwords("", fitting((phrase for phrase in phrases if phrase != UNKNOWN), MAX_PHRASES_CHARACTERS))
