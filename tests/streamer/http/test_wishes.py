from __future__ import annotations

import pytest

from model.types import ModelCard, Task
from streamer.http.errors import ApiError
from streamer.http.wishes import MAX_PROMPT_CHARACTERS, Granularity, ResponseFormat, read

CARD = ModelCard("a", ("en", "de"), "cpu", "float32", "full")
ENGLISH = ModelCard("a", ("en",), "cpu", "float32", "full", tasks=(Task.TRANSCRIBE,))


def wish(task=Task.TRANSCRIBE, card=CARD, **fields):
    return read({name: [value] if isinstance(value, str) else value for name, value in fields.items()}, task, card)


def test_nothing_needs_to_be_said():
    found = wish()

    assert found.format is ResponseFormat.JSON
    assert found.granularities == {Granularity.SEGMENT}
    assert not found.stream
    assert found.configure.language is None
    assert found.configure.hangover_ms is None
    assert not found.configure.partials


def test_unknown_fields_are_ignored():
    assert wish(colour="blue", known_speaker_names="x") == wish()


@pytest.mark.parametrize(("said", "code"), [("de", "de"), ("german", "de"), ("English", "en"), ("", None)])
def test_a_language_is_named_by_code_or_in_english(said, code):
    assert wish(language=said).configure.language == code


def test_a_translation_is_heard_in_any_language():
    assert wish(Task.TRANSLATE, language="xx").configure.language is None


def test_a_language_may_be_one_of_several():
    assert wish(**{"languages[]": ["de", "english"]}).configure.languages == ("de", "en")


def test_keywords_are_part_of_what_may_be_said():
    assert wish(prompt="A talk.", **{"keywords[]": ["Zoë", "Ålesund"]}).configure.context == "A talk. Zoë, Ålesund"
    assert wish(**{"keywords[]": "Zoë"}).configure.context == "Zoë"


def test_of_a_long_prompt_the_end_counts():
    assert wish(prompt="a" * 5000 + "b").configure.context == "a" * (MAX_PROMPT_CHARACTERS - 1) + "b"


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_granularities_are_named_with_and_without_brackets(name):
    found = wish(response_format="verbose_json", **{name: ["word", "segment"]})

    assert found.granularities == {Granularity.WORD, Granularity.SEGMENT}


@pytest.mark.parametrize(
    "fields",
    [
        {
            "chunking_strategy[type]": "server_vad",
            "chunking_strategy[silence_duration_ms]": "300",
            "chunking_strategy[prefix_padding_ms]": "0",
        },
        {"chunking_strategy": '{"type":"server_vad","silence_duration_ms":300,"prefix_padding_ms":0,"threshold":0.4}'},
    ],
)
def test_a_recording_is_divided_as_the_client_says(fields):
    said, unsaid = wish(**fields).configure, wish(chunking_strategy="auto").configure

    assert (said.hangover_ms, said.pre_roll_ms) == (300, 0)
    assert (unsaid.hangover_ms, unsaid.pre_roll_ms) == (None, None)


@pytest.mark.parametrize("response_format", ["", "json", "text"])
def test_text_can_be_had_as_a_stream(response_format):
    assert wish(stream="true", response_format=response_format).stream


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("response_format", {"response_format": "diarized_json"}),
        ("response_format", {"response_format": "x" * 1000}),
        ("language", {"language": "fr"}),
        ("languages", {"languages[]": ["en", "fr"]}),
        ("temperature", {"temperature": "1.5"}),
        ("temperature", {"temperature": "nan"}),
        ("temperature", {"temperature": "warm"}),
        ("stream", {"stream": "perhaps"}),
        ("stream", {"stream": "true", "response_format": "srt"}),
        ("timestamp_granularities", {"timestamp_granularities[]": "word"}),
        ("timestamp_granularities", {"timestamp_granularities[]": "letter", "response_format": "verbose_json"}),
        ("include", {"include[]": "logprobs"}),
        ("chunking_strategy", {"chunking_strategy": "always"}),
        ("chunking_strategy", {"chunking_strategy": "{"}),
        ("chunking_strategy", {"chunking_strategy": '{"type": []}'}),
        ("chunking_strategy[silence_duration_ms]", {"chunking_strategy[silence_duration_ms]": "0"}),
        ("chunking_strategy[prefix_padding_ms]", {"chunking_strategy": '{"prefix_padding_ms": "many"}'}),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(param, fields):
    with pytest.raises(ApiError) as caught:
        wish(**fields)

    error = caught.value.body["error"]
    assert (caught.value.status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert len(error["message"]) < 500


@pytest.mark.parametrize(("said", "repeated"), [("xml", "got 'xml'$"), ("x" * 1000, "got 'x+…'$")])
def test_a_refusal_repeats_what_was_said_or_the_beginning_of_it(said, repeated):
    with pytest.raises(ApiError, match=repeated):
        wish(response_format=said)


def test_a_model_that_knows_english_only_does_not_translate():
    with pytest.raises(ApiError, match="cannot translate"):
        wish(Task.TRANSLATE, ENGLISH)
