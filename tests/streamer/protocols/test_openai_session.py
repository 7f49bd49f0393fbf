from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import EndpointConfig
from streamer.core.audio import Encoding
from streamer.protocols import openai_beta
from streamer.protocols.handshake import House
from streamer.protocols.openai_session import Settings, first_settings, merge
from streamer.protocols.openai_shapes import SettingError, parse
from tests.streamer.protocols.stage import HOUSE, shaken


def updated(*updates: dict[str, Any], house: House = HOUSE) -> Settings:
    """Settings after GA updates of `audio.input`."""
    settings = first_settings(house, None, None)
    for update in updates:
        settings = merge(settings, parse({"type": "transcription", "audio": {"input": update}}), house)
    return settings


def told(settings: Settings) -> dict[str, Any]:
    """What the client is told of `audio.input`."""
    return settings.wire()["audio"]["input"]


def test_before_any_update_the_daemons_own_endpointing_is_told() -> None:
    house = House("demo", ("en",), endpoint=EndpointConfig(hangover_ms=640, pre_roll_ms=210))

    assert told(first_settings(house, None, None)) == {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 210,
            "silence_duration_ms": 640,
        },
    }


@pytest.mark.parametrize(
    ("given", "encoding", "rate"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, Encoding.PCM_S16LE, 24_000),
        ({"type": "audio/pcm"}, Encoding.PCM_S16LE, 24_000),
        ({"type": "audio/pcm", "rate": None}, Encoding.PCM_S16LE, 24_000),
        ({"type": "audio/pcm", "rate": 8_000}, Encoding.PCM_S16LE, 8_000),
        ({"type": "audio/pcm", "rate": 48_000}, Encoding.PCM_S16LE, 48_000),
        ({"type": "audio/pcmu"}, Encoding.MULAW, 8_000),
        ({"type": "audio/pcma"}, Encoding.ALAW, 8_000),
        (None, Encoding.PCM_S16LE, 24_000),
    ],
)
def test_formats(given: Any, encoding: Encoding, rate: int) -> None:
    settings = updated({"format": given})

    assert (settings.format.encoding, settings.rate) == (encoding, rate)


@pytest.mark.parametrize(
    ("given", "turns", "hangover", "pre_roll"),
    [
        ({"type": "server_vad", "silence_duration_ms": 350, "prefix_padding_ms": 600}, None, 350, 600),
        ({"type": "server_vad"}, None, 500, 400),
        ({"type": "server_vad", "silence_duration_ms": None, "idle_timeout_ms": None}, None, 500, 400),
        ({"type": "server_vad", "silence_duration_ms": 0, "prefix_padding_ms": 9_000}, None, 60, 5_000),
        ({"type": "semantic_vad"}, {"type": "semantic_vad", "eagerness": "auto"}, 800, None),
        ({"type": "semantic_vad", "eagerness": "low"}, {"type": "semantic_vad", "eagerness": "low"}, 1_500, None),
        ({"type": "semantic_vad", "eagerness": "high"}, {"type": "semantic_vad", "eagerness": "high"}, 400, None),
        (None, None, None, None),
    ],
)
def test_turn_detection_becomes_endpointing(given: Any, turns: Any, hangover: int | None, pre_roll: int | None) -> None:
    settings = updated({"turn_detection": given})
    configure = settings.configure(HOUSE)

    assert (configure.hangover_ms, configure.pre_roll_ms) == (hangover, pre_roll)
    assert settings.manual is (given is None)
    if turns is not None:
        assert told(settings)["turn_detection"] == turns


def test_what_an_update_leaves_out_stays_and_null_clears() -> None:
    first = {"transcription": {"model": "whisper-1", "language": "de", "prompt": "Namen"}, "turn_detection": None}

    kept = updated(first, {"format": {"type": "audio/pcmu"}, "transcription": {"prompt": None}})
    cleared = updated(first, {"transcription": None})

    assert told(kept)["transcription"] == {"model": "whisper-1", "language": "de", "prompt": None}
    assert kept.manual
    assert told(cleared)["transcription"] is None


def test_another_type_of_turn_detection_starts_from_its_defaults() -> None:
    settings = updated(
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": 900}},
        {"turn_detection": {"type": "semantic_vad"}},
        {"turn_detection": {"type": "server_vad"}},
    )

    assert told(settings)["turn_detection"]["silence_duration_ms"] == 500


def test_prompt_keywords_and_languages_reach_the_recognizer() -> None:
    said = {"prompt": "A talk.", "keywords": ["Ada", "Bobo"], "language": "en-GB", "languages": ["de", "en"]}

    configure = updated({"transcription": said}).configure(HOUSE)

    assert configure.language == "en"
    assert configure.languages == ("de", "en")
    assert configure.context == "A talk. Ada, Bobo."


def test_fields_of_newer_clients_are_ignored() -> None:
    update = {
        "type": "transcription",
        "mood": "merry",
        "audio": {"output": {"voice": "x"}, "input": {"transcription": {"delay": "low", "new": 1}, "new": []}},
    }

    settings = merge(first_settings(HOUSE, None, None), parse(update), HOUSE)

    assert told(settings)["transcription"]["delay"] == "low"


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        (None, "invalid_type", "session"),
        ([], "invalid_type", "session"),
        ({"type": "realtime"}, "invalid_value", "session.type"),
        ({"audio": 1}, "invalid_type", "session.audio"),
        ({"audio": None}, "invalid_type", "session.audio"),
        ({"audio": {"input": {"format": "pcm16"}}}, "invalid_type", "session.audio.input.format"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "invalid_value", "session.audio.input.format.type"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 7_999}}}},
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 48_001}}}},
            "integer_above_max_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": "24000"}}}},
            "invalid_type",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "mad"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.eagerness",
        ),
        (
            {"audio": {"input": {"transcription": {"language": "xx"}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": ["en", "xx"]}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        (
            {"audio": {"input": {"transcription": {"languages": ["en"] * 101}}}},
            "array_above_max_length",
            "session.audio.input.transcription.languages",
        ),
        (
            {"audio": {"input": {"transcription": {"prompt": "x" * 2_001}}}},
            "string_above_max_length",
            "session.audio.input.transcription.prompt",
        ),
        ({"include": "logprobs"}, "invalid_type", "session.include"),
    ],
)
def test_a_wrong_field_is_named(session: Any, code: str, param: str) -> None:
    with pytest.raises(SettingError) as caught:
        merge(first_settings(HOUSE, None, None), parse(session), HOUSE)

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("read", "wrap", "allowed"),
    [
        (parse, lambda value: {"type": value}, ["transcription"]),
        (parse, lambda value: heard(format={"type": value}), ["audio/pcm", "audio/pcmu", "audio/pcma"]),
        (parse, lambda value: heard(turn_detection={"type": value}), ["server_vad", "semantic_vad"]),
        (
            parse,
            lambda value: heard(turn_detection={"type": "semantic_vad", "eagerness": value}),
            ["low", "medium", "high", "auto"],
        ),
        (openai_beta.parse, lambda value: {"input_audio_format": value}, ["pcm16", "g711_ulaw", "g711_alaw"]),
        (openai_beta.parse, lambda value: {"turn_detection": {"type": value}}, ["server_vad", "semantic_vad"]),
    ],
)
def test_a_value_of_no_closed_set_is_told_with_what_is_allowed(read: Any, wrap: Any, allowed: list[str]) -> None:
    for value in allowed:
        read(wrap(value))
    with pytest.raises(SettingError, match=f"Invalid .*'realtime'.*; it must be one of {', '.join(allowed)}$"):
        read(wrap("realtime"))


def heard(**fields: Any) -> dict[str, Any]:
    """Return an update that says something of the input."""
    return {"audio": {"input": fields}}


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


TURNS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": optional(st.floats(0, 1, allow_subnormal=False)),
            "silence_duration_ms": optional(st.integers(-10, 20_000)),
            "prefix_padding_ms": optional(st.integers(-10, 20_000)),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("semantic_vad")}, optional={"eagerness": st.sampled_from(["low", "medium", "high", "auto"])}
    ),
)
TRANSCRIPTION = optional(
    st.fixed_dictionaries(
        {},
        optional={
            "model": optional(st.text(max_size=9)),
            "language": optional(st.sampled_from(["en", "de"])),
            "prompt": optional(st.text(max_size=20)),
            "keywords": optional(st.lists(st.text(max_size=5), max_size=3)),
        },
    )
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(
            [{"type": "audio/pcmu"}, {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 9_000}]
        ),
        "transcription": TRANSCRIPTION,
        "turn_detection": TURNS,
        "noise_reduction": optional(st.just({"type": "near_field"})),
    },
)


@given(st.lists(INPUT, max_size=4))
def test_what_a_client_is_told_changes_nothing_when_it_sends_it_back(updates: list[dict[str, Any]]) -> None:
    settings = updated(*updates)

    again = merge(settings, parse(settings.wire()), HOUSE)

    assert again.wire() == settings.wire()
    assert again.configure(HOUSE) == settings.configure(HOUSE)


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ({"input_audio_format": "pcm16"}, {"format": {"type": "audio/pcm", "rate": 24_000}}),
        ({"input_audio_format": "g711_ulaw"}, {"format": {"type": "audio/pcmu"}}),
        ({"input_audio_format": "g711_alaw"}, {"format": {"type": "audio/pcma"}}),
        (
            {"input_audio_transcription": {"model": "whisper-1", "language": "en"}},
            {"transcription": {"model": "whisper-1", "language": "en"}},
        ),
        ({"turn_detection": None}, {"turn_detection": None}),
        ({"turn_detection": {"type": "semantic_vad"}}, {"turn_detection": {"type": "semantic_vad"}}),
        ({"input_audio_noise_reduction": {"type": "far_field"}}, {"noise_reduction": {"type": "far_field"}}),
        ({"modalities": ["text"], "client_secret": None}, {}),
    ],
)
def test_the_flat_shape_means_what_the_nested_one_does(flat: dict[str, Any], nested: dict[str, Any]) -> None:
    settings = merge(first_settings(HOUSE, None, None), openai_beta.parse(flat), HOUSE)

    assert settings == updated(nested)
    again = merge(first_settings(HOUSE, None, None), openai_beta.parse(openai_beta.wire(settings)), HOUSE)
    assert openai_beta.wire(again) == openai_beta.wire(settings)


@pytest.mark.parametrize(
    ("fields", "flat"),
    [
        ({}, False),
        ({"headers": {"openai-beta": "realtime=v1"}}, True),
        ({"headers": {"openai-beta": "assistants=v2"}}, False),
        ({"subprotocols": ("realtime", "openai-beta.realtime-v1")}, True),
    ],
)
def test_who_gets_the_flat_shape(fields: dict[str, Any], flat: bool) -> None:
    assert openai_beta.asked_for(shaken(**fields)) is flat
