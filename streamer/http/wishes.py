"""What a client asks for, read from the fields of its form. Pure.

Unknown fields are ignored, for clients learn new ones; a known field with a value that cannot be served is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from model.text.languages import LANGUAGES
from model.types import ModelCard, Task
from streamer.core.commands import Configure
from streamer.http.errors import invalid

MAX_PROMPT_CHARACTERS = 2_000
"""Several times what fits into the decoder's prompt; of a longer one the end counts, as in OpenAI's own interface."""
MAX_QUOTED_CHARACTERS = 80
"""Of a client's own words, when a message to it repeats them."""
MOST_SILENCE_MS = 10_000
MOST_PADDING_MS = 5_000

Fields = Mapping[str, Sequence[str]]
Choice = TypeVar("Choice", bound=StrEnum)


class ResponseFormat(StrEnum):
    """How the transcript is written."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


class Granularity(StrEnum):
    """What verbose_json has times for."""

    SEGMENT = "segment"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Wishes:
    """One request, understood."""

    configure: Configure
    """What is decoded, and how the recording is divided."""
    format: ResponseFormat = ResponseFormat.JSON
    granularities: frozenset[Granularity] = frozenset({Granularity.SEGMENT})
    stream: bool = False
    model: str = ""


def read(fields: Fields, task: Task, card: ModelCard) -> Wishes:
    """Return what a form asks for of the model that is loaded. Raises ApiError."""
    response = one_of(fields, "response_format", ResponseFormat, ResponseFormat.JSON)
    stream = boolean(fields, "stream")
    if stream and response not in {ResponseFormat.JSON, ResponseFormat.TEXT}:
        raise invalid("stream", f"stream goes with response_format json or text, got {response}")
    check_temperature(fields)
    if several(fields, "include"):
        raise invalid("include", "nothing can be included: log probabilities of tokens are not kept")
    if task not in card.tasks:
        raise invalid("model", f"the model that is loaded, {card.name}, cannot {task}", "unsupported_model")
    codes = dict.fromkeys(code(value, "languages", card.languages) for value in several(fields, "languages"))
    one = last(fields, "language").strip()
    configure = Configure(
        language=code(one, "language", card.languages) if one and task is Task.TRANSCRIBE else None,
        languages=tuple(codes),
        task=task,
        context=context(fields),
        partials=False,
    )
    return Wishes(
        configure=divided(fields, configure),
        format=response,
        granularities=granularities(fields, response),
        stream=stream,
        model=last(fields, "model"),
    )


def last(fields: Fields, name: str) -> str:
    """Return the value of a field that may come once; of several the last, and nothing for none."""
    return fields.get(name, [""])[-1]


def several(fields: Fields, name: str) -> list[str]:
    """Return the values of a list, whose field is named with or without brackets."""
    return [value for key in (name, f"{name}[]") for value in fields.get(key, []) if value]


def quoted(value: str) -> str:
    """Return a client's words fit to be repeated: short."""
    return repr(value if len(value) <= MAX_QUOTED_CHARACTERS else f"{value[:MAX_QUOTED_CHARACTERS]}…")


def choice(value: str, name: str, kind: type[Choice]) -> Choice:
    """Return a value of a closed set."""
    try:
        return kind(value)
    except ValueError:
        raise invalid(name, f"{name} must be one of {', '.join(kind)}, got {quoted(value)}") from None


def one_of(fields: Fields, name: str, kind: type[Choice], default: Choice) -> Choice:
    """Return a field's value of a closed set."""
    value = last(fields, name)
    return choice(value, name, kind) if value else default


def boolean(fields: Fields, name: str) -> bool:
    """Return a field that is true or false; false if it is not there."""
    value = last(fields, name).lower()
    if value not in {"", "true", "false", "1", "0"}:
        raise invalid(name, f"{name} must be true or false, got {quoted(value)}")
    return value in {"true", "1"}


def check_temperature(fields: Fields) -> None:
    """Refuse a temperature that is none. It has no effect: the decoder raises it by itself where it must."""
    value = last(fields, "temperature")
    try:
        good = 0 <= float(value or 0) <= 1
    except ValueError:
        good = False
    if not good:
        raise invalid("temperature", f"temperature must be in [0, 1], got {quoted(value)}")


def code(value: str, field: str, known: Collection[str]) -> str:
    """Return the code of a language that is given by its code or its English name."""
    wanted = value.strip().lower()
    found = next((code for code, name in LANGUAGES.items() if wanted in {code, name}), wanted)
    if found not in known:
        raise invalid(field, f"{field} must be one of {', '.join(sorted(known))}, got {quoted(value)}")
    return found


def context(fields: Fields) -> str:
    """Return what may be said in the recording: the prompt and, after it, the keywords."""
    parts = [last(fields, "prompt").strip(), ", ".join(several(fields, "keywords"))]
    return " ".join(filter(None, parts))[-MAX_PROMPT_CHARACTERS:]


def granularities(fields: Fields, response: ResponseFormat) -> frozenset[Granularity]:
    """Return what times are asked for; segments if nothing is said."""
    name = "timestamp_granularities"
    wanted = frozenset(choice(value, name, Granularity) for value in several(fields, name))
    if wanted and response is not ResponseFormat.VERBOSE_JSON:
        raise invalid(name, f"{name} goes with response_format verbose_json, got {response}")
    return wanted or frozenset({Granularity.SEGMENT})


def divided(fields: Fields, configure: Configure) -> Configure:
    """Apply chunking_strategy: auto, a JSON object, or the object's fields in brackets, as the SDKs write it."""
    strategy = chunking(fields)
    kind = str(strategy.get("type", "auto"))
    if kind not in {"auto", "server_vad"}:
        complaint = f"chunking_strategy must be auto or of type server_vad, got {quoted(kind)}"
        raise invalid("chunking_strategy", complaint)
    return replace(
        configure,
        hangover_ms=milliseconds(strategy, "silence_duration_ms", 60, MOST_SILENCE_MS),
        pre_roll_ms=milliseconds(strategy, "prefix_padding_ms", 0, MOST_PADDING_MS),
    )


def chunking(fields: Fields) -> Mapping[str, Any]:
    """Return the strategy as an object, whichever way it was written."""
    name = "chunking_strategy"
    value = last(fields, name).strip()
    if value.startswith("{"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise invalid(name, f"{name} is no JSON object: {error}") from None
        return dict(found)
    if value:
        return {"type": value}
    prefix = f"{name}["
    return {key[len(prefix) : -1]: values[-1] for key, values in fields.items() if key.startswith(prefix)}


def milliseconds(strategy: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """Return a time of the strategy, None if it says nothing of it."""
    value = strategy.get(name)
    if value is None:
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if not low <= found <= high:
        complaint = f"{name} must be an integer in [{low}, {high}], got {quoted(str(value))}"
        raise invalid(f"chunking_strategy[{name}]", complaint)
    return found
