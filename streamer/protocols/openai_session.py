"""A realtime transcription session's settings as OpenAI's clients see them: what an update may say, and the merge.

An update is a patch: what is absent stays, null clears, an object is merged field by field unless its `type` changes.
A known field with a wrong value makes the whole update void.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from streamer.core.audio import MAX_RATE, MIN_RATE
from streamer.core.commands import Configure
from streamer.core.hotwords import with_hotwords
from streamer.protocols.checks import MAX_LANGUAGES
from streamer.protocols.handshake import HandshakeError, House, language_code
from streamer.protocols.openai_shapes import (
    DEFAULT_RATE,
    Format,
    Pcm,
    SemanticVad,
    ServerVad,
    SessionPatch,
    SettingError,
    Transcription,
    Turns,
)

G711_RATE = 8_000
EAGERNESS_MS = {"low": 1_500, "medium": 800, "auto": 800, "high": 400}
"""Silence that ends a turn for each eagerness of semantic_vad, whose own upper waits are 8, 4 and 2 s."""
SILENCE_MS = (60, 10_000)
PADDING_MS = (0, 5_000)
MAX_PROMPT_CHARACTERS = 2_000

LOGPROBS = "item.input_audio_transcription.logprobs"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds now."""

    format: Format
    transcription: Transcription | None
    turns: Turns | None
    noise_reduction: dict[str, Any] | None = None
    include: tuple[str, ...] = ()

    @property
    def rate(self) -> int:
        """Samples a second that the client sends."""
        return (self.format.rate or DEFAULT_RATE) if isinstance(self.format, Pcm) else G711_RATE

    @property
    def manual(self) -> bool:
        """Whether turns end by the client's commit only."""
        return self.turns is None

    def configure(self, house: House) -> Configure:
        """Return what the session is asked for. Raises SettingError for a language the model does not know."""
        said = self.transcription or Transcription()
        hangover = padding = None
        if isinstance(self.turns, ServerVad):
            hangover, padding = self.turns.silence_duration_ms or None, self.turns.prefix_padding_ms
        elif isinstance(self.turns, SemanticVad):
            hangover = EAGERNESS_MS[self.turns.eagerness or "auto"]
        return Configure(
            language=known_language(said.language, house) if said.language else None,
            languages=tuple(dict.fromkeys(known_language(name, house) for name in said.languages or ())),
            context=with_hotwords(said.prompt or "", said.keywords or ()),
            partials=False,
            hangover_ms=hangover,
            pre_roll_ms=padding if isinstance(padding, int) else None,
        )

    def wire(self) -> dict[str, Any]:
        """Return them as the client is told."""
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "audio": {
                "input": {
                    "format": msgspec.to_builtins(self.format),
                    "transcription": self.told_transcription(),
                    "noise_reduction": self.noise_reduction,
                    "turn_detection": None if self.turns is None else msgspec.to_builtins(self.turns),
                }
            },
            "include": list(self.include) or None,
        }

    def told_transcription(self) -> dict[str, Any] | None:
        """Return the transcription settings with null for what is not set."""
        if self.transcription is None:
            return None
        return {"model": None, "language": None, "prompt": None, **msgspec.to_builtins(self.transcription)}


def first_settings(house: House, model: str | None, language: str | None) -> Settings:
    """Return what holds before any update; `model` and `language` may come from the URL."""
    transcription = Transcription(model=model, language=language) if model or language else None
    return Settings(Pcm(), transcription, full_turns(ServerVad(), house))


def merge(settings: Settings, patch: SessionPatch, house: House) -> Settings:
    """Return the settings after an update, checked. Raises SettingError, and then nothing of it holds."""
    if isinstance(patch.include, list) or patch.include is None:
        settings = replace(settings, include=tuple(patch.include or ()))
    given = patch.audio.input if patch.audio is not UNSET else UNSET
    if given is UNSET:
        return settings
    if given.format is not UNSET:
        settings = replace(settings, format=checked_format(given.format or Pcm()))
    if given.transcription is not UNSET:
        said = given.transcription
        settings = replace(settings, transcription=None if said is None else overlaid(settings.transcription, said))
    if given.turn_detection is not UNSET:
        turns = given.turn_detection
        turns = None if turns is None else full_turns(overlaid(settings.turns, turns), house)
        settings = replace(settings, turns=turns)
    if given.noise_reduction is not UNSET:
        settings = replace(settings, noise_reduction=given.noise_reduction)
    check_transcription(settings.transcription)
    settings.configure(house)
    return settings


Laid = TypeVar("Laid", bound=Struct)


def overlaid(old: Struct | None, new: Laid) -> Laid:
    """Return `new` with what it leaves open taken from `old`, if they are of one type."""
    if type(old) is not type(new):
        return new
    kept = {name: getattr(old, name) for name in new.__struct_fields__ if getattr(new, name) is UNSET}
    return msgspec.structs.replace(new, **kept)


def full_turns(turns: Turns, house: House) -> Turns:
    """Return turn detection as it will be done: every value set, and within what is possible."""
    if isinstance(turns, SemanticVad):
        return SemanticVad(turns.eagerness or "auto")
    silence = house.endpoint.hangover_ms if unset(turns.silence_duration_ms) else turns.silence_duration_ms
    padding = house.endpoint.pre_roll_ms if unset(turns.prefix_padding_ms) else turns.prefix_padding_ms
    threshold = 0.5 if unset(turns.threshold) else turns.threshold
    assert isinstance(silence, int)
    assert isinstance(padding, int)
    return ServerVad(threshold, clamp(padding, *PADDING_MS), clamp(silence, *SILENCE_MS))


def unset(value: object) -> bool:
    """Say whether a field was left open or cleared."""
    return value is UNSET or value is None


def clamp(value: int, low: int, high: int) -> int:
    """Return the nearest value in [low, high]."""
    return min(max(value, low), high)


def checked_format(given: Format) -> Format:
    """Return a format whose rate is set. Raises SettingError for a rate that cannot be resampled."""
    if not isinstance(given, Pcm) or given.rate is None:
        return Pcm() if isinstance(given, Pcm) else given
    if MIN_RATE <= given.rate <= MAX_RATE:
        return given
    below = given.rate < MIN_RATE
    code = "integer_below_min_value" if below else "integer_above_max_value"
    message = f"rate must be in [{MIN_RATE}, {MAX_RATE}], got {given.rate}"
    raise SettingError(code, message, "session.audio.input.format.rate")


def check_transcription(said: Transcription | None) -> None:
    """Raise SettingError for a prompt or keywords that are too long, or too many languages."""
    said = said or Transcription()
    count = len(said.languages or ())
    if count > MAX_LANGUAGES:
        message = f"languages may be {MAX_LANGUAGES} at most, got {count}"
        raise SettingError("array_above_max_length", message, "session.audio.input.transcription.languages")
    for name, text in (("prompt", said.prompt or ""), ("keywords", " ".join(said.keywords or ()))):
        if len(text) > MAX_PROMPT_CHARACTERS:
            message = f"{name} may have {MAX_PROMPT_CHARACTERS} characters, got {len(text)}"
            raise SettingError("string_above_max_length", message, f"session.audio.input.transcription.{name}")


def known_language(name: str, house: House) -> str:
    """Return the model's code for a language. Raises SettingError."""
    try:
        return language_code(name, house.languages)
    except HandshakeError as error:
        raise SettingError("invalid_value", str(error), "session.audio.input.transcription.language") from None
