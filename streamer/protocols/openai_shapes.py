"""What a client may say of a realtime transcription session, as it is on the wire of OpenAI's interface.

Fields nobody here knows are ignored, for newer clients have newer fields.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streamer.core.audio import Encoding

DEFAULT_RATE = 24_000

CHOICES = {
    "session.type": "transcription",
    "session.input_audio_format": "pcm16, g711_ulaw, g711_alaw",
    "format.type": "audio/pcm, audio/pcmu, audio/pcma",
    "turn_detection.type": "server_vad, semantic_vad",
    "turn_detection.eagerness": "low, medium, high, auto",
}
"""What the fields of closed sets may be, by the last two names of their places; msgspec says only that it is not so."""


class SettingError(Exception):
    """A field of an update that cannot be."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Pcm(Struct, tag_field="type", tag="audio/pcm", frozen=True):
    """Signed 16-bit integers, little endian, mono."""

    encoding: ClassVar[Encoding] = Encoding.PCM_S16LE
    rate: int | None = DEFAULT_RATE


class Pcmu(Struct, tag_field="type", tag="audio/pcmu", frozen=True):
    """G.711 µ-law at 8 kHz."""

    encoding: ClassVar[Encoding] = Encoding.MULAW


class Pcma(Struct, tag_field="type", tag="audio/pcma", frozen=True):
    """G.711 A-law at 8 kHz."""

    encoding: ClassVar[Encoding] = Encoding.ALAW


class Transcription(Struct, frozen=True):
    """What is to be recognised. `model` and `delay` are repeated to the client and change nothing."""

    model: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    languages: list[str] | UnsetType | None = UNSET
    prompt: str | UnsetType | None = UNSET
    keywords: list[str] | UnsetType | None = UNSET
    delay: str | UnsetType | None = UNSET


class ServerVad(Struct, tag_field="type", tag="server_vad", frozen=True):
    """A turn ends after silence. `threshold` changes nothing: the detector says yes or no."""

    threshold: float | UnsetType | None = UNSET
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET


class SemanticVad(Struct, tag_field="type", tag="semantic_vad", frozen=True):
    """A turn ends after more or less silence."""

    eagerness: Literal["low", "medium", "high", "auto"] | UnsetType | None = UNSET


Format: TypeAlias = Pcm | Pcmu | Pcma
Turns: TypeAlias = ServerVad | SemanticVad


class Input(Struct, frozen=True):
    """What is said about the input audio."""

    format: Format | UnsetType | None = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    turn_detection: Turns | UnsetType | None = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET


class AudioPatch(Struct, frozen=True):
    """What is said about audio."""

    input: Input | UnsetType = UNSET


class SessionPatch(Struct, frozen=True):
    """The `session` of a session.update."""

    type: Literal["transcription"] | UnsetType = UNSET
    audio: AudioPatch | UnsetType = UNSET
    include: list[str] | UnsetType | None = UNSET


def parse(session: object) -> SessionPatch:
    """Read the `session` of an update. Raises SettingError."""
    return convert(session, SessionPatch)


Patch = TypeVar("Patch")


def convert(value: object, kind: type[Patch]) -> Patch:
    """Read a JSON value as a structure. Raises SettingError that names the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        complaint, _, place = str(error).partition(" - at `$")
        param = "session" + place.rstrip("`")
        message, code = f"{complaint[:200]}, at {param[:200]}", "invalid_type"
        if complaint.startswith("Invalid"):
            code = "invalid_value"
            if allowed := CHOICES.get(".".join(param.split(".")[-2:])):
                message += f"; it must be one of {allowed}"
        raise SettingError(code, message, param[:200]) from None
