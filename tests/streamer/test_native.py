from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Samples, Task, Word
from streamer.core import events
from streamer.core.commands import Audio, Claim, Close, Command, Configure, ErrorCode, Flush, ProtocolError, Stop
from streamer.protocols.checks import MAX_HOTWORD_CHARACTERS, MAX_HOTWORDS, MAX_LANGUAGES
from streamer.protocols.native import MAX_MARKER_CHARACTERS, MAX_PROMPT_CHARACTERS, NativeCodec


def started(**fields: Any) -> NativeCodec:
    """A codec that has seen `start`."""
    codec = NativeCodec("demo", ("en", "de"))
    list(codec.decode(json.dumps({"type": "start", **fields})))
    return codec


def encoded(codec: NativeCodec, event: events.Event) -> dict[str, Any]:
    """The one message for an event."""
    [message] = codec.encode(event)
    return json.loads(message)


def complaint(codec: NativeCodec, *messages: str | bytes) -> ProtocolError:
    """What the codec objects to."""
    *before, last = messages
    for message in before:
        list(codec.decode(message))
    with pytest.raises(ProtocolError) as caught:
        list(codec.decode(last))
    return caught.value


def audio(commands: list[Command]) -> Samples:
    """Samples of all Audio commands."""
    return np.concatenate([c.samples for c in commands if isinstance(c, Audio)] or [np.zeros(0)])


def test_start_has_a_default_for_every_field() -> None:
    [command] = NativeCodec("demo", ("en",)).decode('{"type":"start"}')

    assert command == Configure(language=None, task=Task.TRANSCRIBE, context="", partials=True)


def test_start_says_what_the_client_wants() -> None:
    message = {"type": "start", "language": "de", "task": "translate", "prompt": "Grüße", "partials": False}

    [command] = NativeCodec("demo", ("en", "de")).decode(json.dumps(message))

    assert command == Configure(language="de", task=Task.TRANSLATE, context="Grüße", partials=False)


def test_start_names_languages_to_choose_from_and_words_to_expect() -> None:
    message = {"type": "start", "languages": ["en", "de"], "prompt": "Trains.", "hotwords": ["Boro  Kita", "Mu"]}

    [command] = NativeCodec("demo", ("en", "de", "fr")).decode(json.dumps(message))

    assert command == Configure(languages=("en", "de"), context="Trains. Boro Kita, Mu.")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"language": "xx"}, "language must be one of de, en, got 'xx'"),
        ({"languages": ["en", "xx"]}, "languages must be one of de, en, got 'xx'"),
        ({"language": "en", "languages": ["de"]}, "language must be one of de, got 'en'"),
        ({"languages": ["en"] * 101}, "languages may be 100 at most, got 101"),
        ({"hotwords": ["a"] * 101}, "hotwords may be 100 at most, got 101"),
        ({"hotwords": ["b", "a" * 65]}, "one of hotwords may have 64 characters, got 65"),
    ],
)
def test_languages_and_hotwords_that_cannot_be_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    error = complaint(NativeCodec("demo", ("en", "de")), json.dumps({"type": "start", **fields}))

    assert (error.code, error.message, error.close) == (ErrorCode.BAD_VALUE, message, Close.NOT_ALLOWED)


def test_as_much_as_may_be_is_taken() -> None:
    longest = "a" * MAX_HOTWORD_CHARACTERS
    lists = {"languages": ["en"] * MAX_LANGUAGES, "hotwords": [longest] * MAX_HOTWORDS}
    codec = started(prompt="x" * MAX_PROMPT_CHARACTERS, sample_rate=48_000, channels=8, **lists)
    flush = {"type": "flush", "id": "x" * MAX_MARKER_CHARACTERS}

    assert list(codec.decode(json.dumps(flush)))[-1] == Flush(flush["id"])


def test_a_model_with_one_language_takes_no_other_and_does_not_translate() -> None:
    for fields, allowed in [
        ({"language": "de"}, "en"),
        ({"languages": ["de"]}, "en"),
        ({"task": "translate"}, "transcribe"),
    ]:
        codec = NativeCodec("demo", ("en",), (Task.TRANSCRIBE,))
        assert f"must be one of {allowed}, got" in complaint(codec, json.dumps({"type": "start", **fields})).message


def test_a_language_that_is_named_twice_is_one() -> None:
    message = {"type": "start", "languages": ["en", "de", "en"]}

    [command] = NativeCodec("demo", ("en", "de")).decode(json.dumps(message))

    assert command == Configure(languages=("en", "de"))


@pytest.mark.parametrize("claim", [{}, {"have": -1, "covered": -1, "first": -1}])
def test_a_client_that_comes_back_has_nothing_unless_it_says_so(claim: dict[str, int]) -> None:
    resume = {"session": "abc", "token": "secret", "epoch": "now", **claim}

    [command] = NativeCodec("demo", ("en",)).decode(json.dumps({"type": "start", "resume": resume}))

    assert command == Configure(resumable=True, claim=Claim("abc", "secret", "now", have=0, covered=0, first=0))


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@given(frames=st.integers(0, 200))
def test_no_more_is_acknowledged_as_decided_than_was_received(rate: int, frames: int) -> None:
    codec = started(sample_rate=rate, resumable=True)
    commands = [*codec.decode(bytes(2 * frames)), *codec.decode('{"type":"flush","id":"now"}')]

    [message] = codec.acknowledge(len(audio(commands)))
    ack = json.loads(message)
    assert ack["received"] == frames
    assert frames - rate // SAMPLE_RATE - 1 <= ack["committed"] <= frames


def test_ready_names_session_model_and_rate() -> None:
    [message] = started(sample_rate=8000).welcome("abc")

    assert json.loads(message) == {"type": "ready", "session": "abc", "model": "demo", "sample_rate": 8000}


def test_audio_becomes_samples() -> None:
    commands = list(started().decode(struct.pack("<2h", 16_384, -16_384)))

    assert audio(commands).tolist() == [0.5, -0.5]


def test_flush_gives_out_what_the_resampler_holds_before_its_marker() -> None:
    codec = started(sample_rate=8000)
    commands = [*codec.decode(bytes(1600)), *codec.decode('{"type":"flush","id":"now"}')]

    assert len(audio(commands)) == SAMPLE_RATE // 10
    assert commands[-1] == Flush("now")


def test_stop_gives_out_what_the_resampler_holds() -> None:
    codec = started(sample_rate=48_000)
    commands = [*codec.decode(bytes(9600)), *codec.decode('{"type":"stop"}')]

    assert len(audio(commands)) == SAMPLE_RATE // 10
    assert commands[-1] == Stop()


def test_a_client_that_goes_without_a_word_leaves_nothing_behind_in_the_resampler() -> None:
    gone, stopped = started(sample_rate=48_000), started(sample_rate=48_000)
    given = len(audio(list(gone.decode(bytes(9600)))))
    for message in (bytes(9600), '{"type":"stop"}'):
        list(stopped.decode(message))

    assert given + sum(map(len, gone.leftover())) == SAMPLE_RATE // 10
    assert [list(codec.leftover()) for codec in (stopped, NativeCodec("demo", ("en",)))] == [[], []]


def test_a_second_stop_means_nothing() -> None:
    codec = started()
    list(codec.decode('{"type":"stop"}'))

    assert list(codec.decode('{"type":"stop"}')) == []


def test_a_stream_that_ends_inside_a_sample_is_told_so_at_its_end() -> None:
    codec = started()
    list(codec.decode(bytes(101)))

    stop = list(codec.decode('{"type":"stop"}'))[-1]

    assert isinstance(stop, Stop)
    assert stop.error is not None
    assert (stop.error.code, stop.error.close) == (ErrorCode.INCOMPLETE_SAMPLE, Close.UNREADABLE)
    assert "1 byte of an incomplete sample" in stop.error.message


@pytest.mark.parametrize(
    ("message", "code", "close", "words"),
    [
        ("", ErrorCode.BAD_MESSAGE, 1007, "must be a JSON object"),
        ("nonsense", ErrorCode.BAD_MESSAGE, 1007, "must be a JSON object"),
        ("[" * 100_000, ErrorCode.BAD_MESSAGE, 1007, "array"),
        ('{"type":"start","x":' + "[" * 100_000, ErrorCode.BAD_MESSAGE, 1007, "unknown field `x`"),
        ('"start"', ErrorCode.BAD_MESSAGE, 1007, "Expected `object`, got `str`"),
        ("{}", ErrorCode.BAD_MESSAGE, 1007, "type must be start, flush or stop"),
        ('{"type":"begin"}', ErrorCode.BAD_MESSAGE, 1007, "'begin'.*type must be start, flush or stop"),
        ('{"type":7}', ErrorCode.BAD_MESSAGE, 1007, "type must be start, flush or stop"),
        ('{"type":"start","rate":8000}', ErrorCode.BAD_MESSAGE, 1007, "unknown field `rate`"),
        ('{"type":"start","sample_rate":"16000"}', ErrorCode.BAD_MESSAGE, 1007, r"`str` - at `\$.sample_rate`"),
        ('{"type":"start","sample_rate":NaN}', ErrorCode.BAD_MESSAGE, 1007, "JSON"),
        ('{"type":"start","partials":1}', ErrorCode.BAD_MESSAGE, 1007, r"`\$.partials`"),
        ('{"type":"start","prompt":null}', ErrorCode.BAD_MESSAGE, 1007, r"`\$.prompt`"),
        ('{"type":"start","prompt":"\\ud800"}', ErrorCode.BAD_MESSAGE, 1007, "JSON"),
        ('{"type":"start","sample_rate":0}', ErrorCode.BAD_VALUE, 1008, r"in \[8000, 48000\], got 0"),
        ('{"type":"start","sample_rate":-1}', ErrorCode.BAD_VALUE, 1008, r"in \[8000, 48000\], got -1"),
        ('{"type":"start","sample_rate":1000000000}', ErrorCode.BAD_VALUE, 1008, "got 1000000000"),
        ('{"type":"start","channels":0}', ErrorCode.BAD_VALUE, 1008, r"in \[1, 8\], got 0"),
        (
            '{"type":"start","encoding":"mp3"}',
            ErrorCode.BAD_VALUE,
            1008,
            "pcm_s16le, pcm_f32le, mulaw, alaw, got 'mp3'",
        ),
        ('{"type":"start","language":"xx"}', ErrorCode.BAD_VALUE, 1008, "one of de, en, got 'xx'"),
        ('{"type":"start","task":"sing"}', ErrorCode.BAD_VALUE, 1008, "transcribe, translate, got 'sing'"),
        (json.dumps({"type": "start", "prompt": "x" * 2001}), ErrorCode.BAD_VALUE, 1008, "2000 characters, got 2001"),
        ('{"type":"stop"}', ErrorCode.UNEXPECTED_MESSAGE, 1008, "stop came before start"),
        ('{"type":"flush"}', ErrorCode.UNEXPECTED_MESSAGE, 1008, "flush came before start"),
        (b"\0\0", ErrorCode.UNEXPECTED_MESSAGE, 1008, "audio came before start"),
    ],
)
def test_a_bad_first_message_is_answered_with_what_is_allowed(
    message: str | bytes, code: ErrorCode, close: int, words: str
) -> None:
    with pytest.raises(ProtocolError, match=words) as caught:
        list(NativeCodec("demo", ("en", "de")).decode(message))

    assert (caught.value.code, caught.value.close) == (code, close)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("after", [b"\0\0", '{"type":"flush"}', '{"type":"start"}'])
def test_after_stop_only_stop_may_come(after: str | bytes) -> None:
    error = complaint(started(), '{"type":"stop"}', after)

    assert (error.code, error.close) == (ErrorCode.UNEXPECTED_MESSAGE, Close.NOT_ALLOWED)


def test_a_second_start_is_an_error() -> None:
    assert complaint(started(), '{"type":"start"}').code == ErrorCode.UNEXPECTED_MESSAGE


def test_a_marker_has_a_length() -> None:
    error = complaint(started(), json.dumps({"type": "flush", "id": "x" * 129}))

    assert error.message == "id may have 128 characters, got 129"


def test_a_sample_that_is_no_number_is_an_error() -> None:
    error = complaint(started(encoding="pcm_f32le"), struct.pack("<2f", 0, float("nan")))

    assert (error.code, error.close) == (ErrorCode.BAD_SAMPLES, Close.UNREADABLE)
    assert "nan at sample 1" in error.message


WORDS = (Word(" one", 0, 4000, 0.98765, (1,)), Word(" two", 4000, 8000, 0.5, (2,)))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (events.SpeechStarted(1, 1600), {"type": "speech_started", "utterance": 1, "start": 0.1}),
        (
            events.Partial(1, " two", 4000, 8000, 1600),
            {"type": "partial", "utterance": 1, "text": " two", "start": 0.25, "end": 0.5, "lag": 0.1},
        ),
        (
            events.Commit(3, 1, "one two", 0, 8000, WORDS, 0),
            {
                "type": "commit",
                "id": 3,
                "utterance": 1,
                "text": "one two",
                "start": 0.0,
                "end": 0.5,
                "words": [
                    {"text": "one", "start": 0.0, "end": 0.25, "probability": 0.9877},
                    {"text": "two", "start": 0.25, "end": 0.5, "probability": 0.5},
                ],
                "lag": 0.0,
            },
        ),
        (events.SpeechEnded(1, 8001), {"type": "speech_ended", "utterance": 1, "end": 0.5000625}),
        (
            events.Final(1, "one two", 0, 8000, "en", 160),
            {
                "type": "final",
                "utterance": 1,
                "text": "one two",
                "start": 0.0,
                "end": 0.5,
                "language": "en",
                "lag": 0.01,
            },
        ),
        (events.Flushed("now"), {"type": "flushed", "id": "now"}),
        (events.Gap(0, 8000, "why"), {"type": "gap", "start": 0.0, "end": 0.5, "reason": "why"}),
        (events.Warned("code", "words"), {"type": "warning", "code": "code", "message": "words"}),
        (events.Paced(8000), {"type": "pace", "interval": 0.5}),
        (events.Failed("code", "words"), {"type": "error", "code": "code", "message": "words"}),
        (events.Done(16_000, 2), {"type": "done", "audio": 1.0, "commits": 2}),
    ],
)
def test_every_event_has_its_message(event: events.Event, message: dict[str, Any]) -> None:
    assert encoded(started(), event) == message


def test_words_are_left_out_if_they_are_not_wanted() -> None:
    assert "words" not in encoded(started(words=False), events.Commit(1, 1, "one two", 0, 8000, WORDS))


@given(st.one_of(st.text(), st.binary(), st.from_type(dict[str, int]).map(json.dumps)))
def test_any_message_is_understood_or_refused(message: str | bytes) -> None:
    codec, closes = started(), set()
    try:
        list(codec.decode(message))
    except ProtocolError as error:
        closes.add(error.close)

    assert closes <= {Close.UNREADABLE, Close.NOT_ALLOWED}
