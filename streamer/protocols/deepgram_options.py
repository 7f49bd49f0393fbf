"""What a Deepgram client asks for in the URL. Parameters nobody here knows are ignored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.core.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, Encoding
from streamer.core.commands import Configure
from streamer.core.hotwords import with_hotwords
from streamer.protocols.handshake import FALSE, Handshake, HandshakeError, House, language_code

ENCODINGS = {
    "linear16": Encoding.PCM_S16LE,
    "linear32": Encoding.PCM_F32LE,
    "mulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
}
LEAST_ENDPOINTING_MS = 200
"""Less silence than this lies inside of words."""
MAX_ENDPOINTING_MS = 10_000
UTTERANCE_END_MS = (1_000, 60_000)
MAX_KEYTERM_CHARACTERS = 2_000
ANY_LANGUAGE = "multi"


@dataclass(frozen=True, slots=True)
class Options:
    """The URL's parameters, checked."""

    encoding: Encoding | None
    """None: the audio is a file that says so itself."""
    rate: int
    channels: int
    multichannel: bool
    """Whether each channel is a stream of its own; else they are mixed."""
    interim: bool
    plain: bool
    """Whether text is wanted without capitals and punctuation."""
    endpointing: bool
    hangover_ms: int | None
    utterance_end_ms: int | None
    vad_events: bool
    language: str | None
    keyterms: str

    def configure(self, keyterms: str | None = None) -> Configure:
        """Return what the session is asked for, with other keyterms if the client has changed them."""
        return Configure(
            language=self.language,
            context=self.keyterms if keyterms is None else keyterms,
            partials=self.interim,
            hangover_ms=self.hangover_ms,
        )


def read(handshake: Handshake, house: House) -> Options:
    """Read the URL. Raises HandshakeError for what cannot be served."""
    encoding = read_encoding(handshake.text("encoding"))
    rate = handshake.whole("sample_rate", MIN_RATE, MAX_RATE)
    if encoding is not None and rate is None:
        raise HandshakeError("sample_rate is needed with an encoding")
    channels = handshake.whole("channels", 1, MAX_CHANNELS) or 1
    multichannel = handshake.flag("multichannel", default=False)
    if multichannel and not handshake.all("channels"):
        raise HandshakeError("channels is needed with multichannel=true, in the URL and for a file too")
    endpointing, hangover = read_endpointing(handshake)
    interim = handshake.flag("interim_results", default=False)
    return Options(
        encoding=encoding,
        rate=rate or 0,
        channels=channels,
        multichannel=multichannel and channels > 1,
        interim=interim,
        plain=not handshake.flag("punctuate", default=True) and not handshake.flag("smart_format", default=False),
        endpointing=endpointing,
        hangover_ms=hangover,
        utterance_end_ms=read_utterance_end(handshake, interim=interim),
        vad_events=handshake.flag("vad_events", default=False),
        language=read_language(handshake, house),
        keyterms=join_keyterms([*handshake.all("keyterm"), *map(without_boost, handshake.all("keywords"))]),
    )


def read_encoding(name: str | None) -> Encoding | None:
    """Return how samples are written, None if the audio itself says so. Raises HandshakeError."""
    if name is None:
        return None
    if name not in ENCODINGS:
        raise HandshakeError(f"encoding must be one of {', '.join(ENCODINGS)}, got {name[:80]!r}")
    return ENCODINGS[name]


def read_endpointing(handshake: Handshake) -> tuple[bool, int | None]:
    """Return whether pauses end an utterance, and after how many milliseconds; None: as the daemon is set."""
    said = handshake.text("endpointing")
    if said is None or said.lower() == "true":
        return True, None
    if said.lower() in FALSE - {"0"}:
        return False, None
    milliseconds = handshake.whole("endpointing", 0, 1_000_000_000 - 1)
    return True, min(max(milliseconds or 0, LEAST_ENDPOINTING_MS), MAX_ENDPOINTING_MS)


def read_utterance_end(handshake: Handshake, *, interim: bool) -> int | None:
    """Return the gap after which an utterance has ended by its words' times. Raises HandshakeError."""
    said = handshake.text("utterance_end_ms")
    if said is None or said.lower() == "false":
        return None
    if not interim:
        raise HandshakeError("utterance_end_ms needs interim_results=true")
    return handshake.whole("utterance_end_ms", *UTTERANCE_END_MS)


def read_language(handshake: Handshake, house: House) -> str | None:
    """Return the language, None if it is to be detected. Raises HandshakeError for one the model does not know."""
    said = handshake.text("language")
    if said is None or said.lower() == ANY_LANGUAGE or handshake.flag("detect_language", default=False):
        return None
    return language_code(said, house.languages)


def without_boost(keyword: str) -> str:
    """Return `word` of `word:2.5`."""
    word, colon, boost = keyword.rpartition(":")
    return word if colon and boost.lstrip("-").replace(".", "", 1).isdigit() else keyword


def join_keyterms(keyterms: Iterable[str]) -> str:
    """Return keyterms as a prompt. Raises HandshakeError if there are too many."""
    joined = with_hotwords("", tuple(keyterms))
    if len(joined) > MAX_KEYTERM_CHARACTERS:
        raise HandshakeError(f"keyterms may have {MAX_KEYTERM_CHARACTERS} characters together, got {len(joined)}")
    return joined
