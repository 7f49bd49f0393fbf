"""The shape of OpenAI's realtime interface before it was final: flat settings, older names; only translated here.

Chosen by the header `OpenAI-Beta: realtime=v1`, the subprotocol `openai-beta.realtime-v1`, or the client's first
`transcription_session.update`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streamer.protocols.handshake import Handshake
from streamer.protocols.openai_session import Settings
from streamer.protocols.openai_shapes import (
    AudioPatch,
    Format,
    Input,
    Pcm,
    Pcma,
    Pcmu,
    SessionPatch,
    Transcription,
    Turns,
    convert,
)

SUBPROTOCOL = "openai-beta.realtime-v1"
FORMATS: dict[str, Format] = {"pcm16": Pcm(), "g711_ulaw": Pcmu(), "g711_alaw": Pcma()}


class FlatPatch(Struct, frozen=True):
    """The `session` of an update."""

    input_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] | UnsetType | None = UNSET
    input_audio_transcription: Transcription | UnsetType | None = UNSET
    turn_detection: Turns | UnsetType | None = UNSET
    input_audio_noise_reduction: dict[str, Any] | UnsetType | None = UNSET
    include: list[str] | UnsetType | None = UNSET


def asked_for(handshake: Handshake) -> bool:
    """Say whether a client wants this shape."""
    return "realtime=v1" in handshake.headers.get("openai-beta", "") or SUBPROTOCOL in handshake.subprotocols


def parse(session: object) -> SessionPatch:
    """Read the flat `session` of an update. Raises SettingError."""
    flat = convert(session, FlatPatch)
    name = flat.input_audio_format
    return SessionPatch(
        audio=AudioPatch(
            input=Input(
                format=FORMATS[name] if isinstance(name, str) else name,
                transcription=flat.input_audio_transcription,
                turn_detection=flat.turn_detection,
                noise_reduction=flat.input_audio_noise_reduction,
            )
        ),
        include=flat.include,
    )


def wire(settings: Settings) -> dict[str, Any]:
    """Return settings as a client of this shape is told."""
    names = {type(format_): name for name, format_ in FORMATS.items()}
    return {
        "object": "realtime.transcription_session",
        "input_audio_format": names[type(settings.format)],
        "input_audio_transcription": settings.told_transcription(),
        "turn_detection": None if settings.turns is None else msgspec.to_builtins(settings.turns),
        "input_audio_noise_reduction": settings.noise_reduction,
        "include": list(settings.include) or None,
    }
