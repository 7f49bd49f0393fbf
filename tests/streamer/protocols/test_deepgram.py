from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Samples, Word
from streamer.core import events
from streamer.core.commands import Close, Configure, ErrorCode, ProtocolError
from streamer.protocols.deepgram import DeepgramCodec
from streamer.protocols.handshake import Handshake, HandshakeError
from tests.fakes import silence, speak
from tests.streamer.harness import sentence
from tests.streamer.protocols.stage import HOUSE, Stage, g711, pcm, shaken, wav

RAW = "encoding=linear16&sample_rate=16000"
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
FINALIZE, CLOSE, ALIVE = {"type": "Finalize"}, {"type": "CloseStream"}, {"type": "KeepAlive"}


def codec(query: str = "", base: str = RAW) -> DeepgramCodec:
    return DeepgramCodec(shaken(f"{base}&{query}"), HOUSE)


def stage(query: str = "", base: str = RAW, *, slow: bool = False) -> Stage:
    return Stage(codec(query, base), slow=slow)


def best(result: dict[str, Any]) -> dict[str, Any]:
    return result["channel"]["alternatives"][0]


def finals(played: Stage) -> list[dict[str, Any]]:
    return [message for message in played.of("Results") if message["is_final"]]


def utterances(played: Stage) -> list[str]:
    """Finals joined up to each speech_final, as Deepgram's clients are told to."""
    joined, parts = [], []
    for final in finals(played):
        parts += [best(final)["transcript"]] if best(final)["transcript"] else []
        if final["speech_final"]:
            joined.append(" ".join(parts))
            parts = []
    return [text for text in [*joined, " ".join(parts)] if text]


def chunks(data: bytes, size: int = 3_200) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", {}),
        ("interim_results=true", {"partials": True}),
        ("interim_results=True", {"partials": True}),
        ("language=en-US", {"language": "en"}),
        ("language=multi", {}),
        ("language=&endpointing=&utterance_end_ms=", {}),
        ("utterance_end_ms=false", {}),
        ("language=de&detect_language=true", {}),
        ("endpointing=25", {"hangover_ms": 200}),
        ("endpointing=300", {"hangover_ms": 300}),
        ("endpointing=0", {"hangover_ms": 200}),
        ("endpointing=false", {}),
        ("endpointing=true", {}),
        ("endpointing=99999999", {"hangover_ms": 10_000}),
        ("keyterm=Ada&keyterm=Bobo+Li", {"context": "Ada, Bobo+Li."}),
        (
            "keywords=Ada:2&keywords=a:b:-1.5&keywords=c:d&keywords=plain&keywords=7",
            {"context": "Ada, a:b, c:d, plain, 7."},
        ),
        ("no_delay=true&filler_words=false&mip_opt_out=x&model=nova-3&tag=&smart_format=", {}),
    ],
)
def test_the_url_says_what_is_wanted(query: str, wanted: dict[str, Any]) -> None:
    assert codec(query).opening() == Configure(**{"partials": False, **wanted})


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("encoding=opus&sample_rate=48000", "encoding must be one of linear16, linear32, mulaw, alaw, got 'opus'"),
        ("encoding=linear16", "sample_rate is needed with an encoding"),
        (f"{RAW}&sample_rate=7999", r"sample_rate must be a whole number in \[8000, 48000\], got '7999'"),
        (f"{RAW}&sample_rate=fast", "got 'fast'"),
        (f"{RAW}&sample_rate=99999999999999999999", "got '99999"),
        (f"{RAW}&sample_rate=²", "got '²'"),
        (f"{RAW}&channels=0", r"channels must be a whole number in \[1, 8\], got '0'"),
        (f"{RAW}&multichannel=true", "channels is needed with multichannel=true"),
        (f"{RAW}&interim_results=maybe", "interim_results must be true or false, got 'maybe'"),
        (f"{RAW}&endpointing=soon", "endpointing must be a whole number"),
        (f"{RAW}&utterance_end_ms=1000", "utterance_end_ms needs interim_results=true"),
        (f"{RAW}&interim_results=true&utterance_end_ms=999", r"in \[1000, 60000\], got '999'"),
        (f"{RAW}&language=xx", "language must be one of de, en, got 'xx'"),
        (f"{RAW}&keyterm={'x' * 2_001}", "keyterms may have 2000 characters together, got 2002"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_door(query: str, complaint: str) -> None:
    with pytest.raises(HandshakeError, match=complaint):
        codec(base=query)


def word(text: str, start: int, end: int, probability: float = 0.5) -> Word:
    return Word(text, start, end, probability, (1,))


def result(start: float, duration: float, transcript: str, **fields: Any) -> dict[str, Any]:
    """A Results message; fields of its best alternative are given by name too."""
    alternative = {"transcript": transcript, "confidence": 0.0, "words": []}
    alternative |= {name: fields.pop(name) for name in ("confidence", "words", "languages") if name in fields}
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": duration,
        "is_final": True,
        "speech_final": False,
        "from_finalize": False,
        "channel": {"alternatives": [alternative]},
        "metadata": {
            "request_id": "abc",
            "model_uuid": "demo",
            "model_info": {"name": "demo", "version": "", "arch": "whisper"},
        },
        **fields,
    }


GOOD = {"word": "good", "start": 0.125, "end": 0.25, "confidence": 0.5, "punctuated_word": "Good,"}
DAY = {"word": "day", "start": 0.25, "end": 0.5, "confidence": 1.0, "punctuated_word": "day."}
EVENTS: list[tuple[events.Event, list[dict[str, Any]]]] = [
    (events.SpeechStarted(1, 1_600), [{"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1}]),
    (events.Partial(1, "Good", 2_000, 4_000), [result(0, 0.25, "Good", is_final=False)]),
    (
        events.Commit(1, 1, "Good,", 2_000, 4_000, (word(" Good,", 2_000, 4_000),)),
        [result(0, 0.25, "Good,", confidence=0.5, words=[GOOD])],
    ),
    (events.Partial(1, " day", 4_000, 6_000), [result(0.25, 0.125, "day", is_final=False)]),
    (events.SpeechEnded(1, 8_000, audio_end=16_000), []),
    (events.Commit(2, 1, " day.", 4_000, 8_000, (word(" day.", 4_000, 8_000, 1.0),)), []),
    (
        events.Final(1, "Good, day.", 1_600, 16_000, "en"),
        [result(0.25, 0.75, "day.", confidence=1.0, words=[DAY], languages=["en"], speech_final=True)],
    ),
    (events.SpeechStarted(2, 16_000), [{"type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.0}]),
    (events.Warned("window_full", "…"), []),
    (events.Gap(16_000, 20_000, "recognition failed"), []),
    (events.Paced(6_400), []),
    (events.SpeechEnded(2, 24_000), []),
    (events.Final(2, "", 16_000, 32_000, "en"), [result(1.0, 1.0, "", languages=["en"], speech_final=True)]),
    (events.Flushed("x"), [result(2.0, 0.0, "", from_finalize=True)]),
    (
        events.Done(48_000, 2),
        [
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": "abc",
                "sha256": sha256().hexdigest(),
                "created": "2026-01-02T03:04:05.000+00:00",
                "duration": 3.0,
                "channels": 1,
                "models": ["demo"],
                "model_info": {"demo": {"name": "demo", "version": "", "arch": "whisper"}},
            }
        ],
    ),
]


def test_every_event_has_its_messages() -> None:
    told = codec("interim_results=true&vad_events=true")

    for number, (event, messages) in enumerate(EVENTS):
        assert [json.loads(message) for message in told.encode(event)] == messages, f"event {number}: {event}"


def test_a_result_is_as_sure_as_its_words_are_on_average() -> None:
    words = (word(" Good", 2_000, 4_000, 0.25), word(" day", 4_000, 8_000, 1.0))
    [message] = codec().encode(events.Commit(1, 1, "Good day", 2_000, 8_000, words))

    assert best(json.loads(message))["confidence"] == 0.625


def test_the_last_words_say_their_language_also_where_no_pause_is_the_end() -> None:
    told = codec("endpointing=false")
    [first, last] = [json.loads(message) for event, _ in EVENTS[:7] for message in told.encode(event)]

    assert first == result(0, 0.25, "Good,", confidence=0.5, words=[GOOD])
    assert last == result(0.25, 0.75, "day.", confidence=1.0, words=[DAY], languages=["en"])


def test_a_client_that_wants_neither_interims_nor_events_gets_finals_only() -> None:
    told = codec()

    messages = [json.loads(message) for event, _ in EVENTS for message in told.encode(event)]

    assert {message["type"] for message in messages} == {"Results", "Metadata"}
    assert all(message["is_final"] for message in messages if message["type"] == "Results")


@pytest.mark.parametrize(
    ("query", "transcript", "told"),
    [
        ("", "Good,", "Good,"),
        ("punctuate=false", "good", "good"),
        ("punctuate=false&smart_format=true", "Good,", "Good,"),
        ("punctuate=true", "Good,", "Good,"),
    ],
)
def test_text_without_punctuation_for_those_who_ask_for_it(query: str, transcript: str, told: str) -> None:
    [message] = codec(query).encode(EVENTS[2][0])

    alternative = best(json.loads(message))
    assert (alternative["transcript"], alternative["words"][0]["word"]) == (transcript, "good")
    assert alternative["words"][0]["punctuated_word"] == told


def test_without_punctuation_interims_and_finals_are_written_alike_and_words_are_not_torn_apart() -> None:
    told = codec("punctuate=false&interim_results=true")
    text, pieces = " Pi is 3.14, at 10:30.", (" Pi", " is", " 3", ".14,", " at", " 10", ":30.")
    words = tuple(word(piece, 2_000, 4_000) for piece in pieces)

    said = [events.Partial(1, text, 2_000, 4_000), events.Commit(1, 1, text, 2_000, 4_000, words)]
    messages = [json.loads(message) for event in said for message in told.encode(event)]
    assert [best(message)["transcript"] for message in messages] == ["pi is 3.14 at 10:30"] * 2


@pytest.mark.parametrize("size", [2, 333, 3_200, 1_000_000])
def test_utterances_are_the_finals_up_to_speech_final(size: int) -> None:
    played = stage()
    played.say(*chunks(pcm(SPEECH), size), CLOSE)

    assert utterances(played) == ["w1 w2 w3", "w4 w5"]
    assert played.kinds[-1] == "Metadata"


@pytest.mark.parametrize(
    ("query", "encode"),
    [
        (RAW, pcm),
        ("encoding=linear16&sample_rate=8000", lambda audio: pcm(audio, 8_000)),
        ("encoding=linear16&sample_rate=44100", lambda audio: pcm(audio, 44_100)),
        ("encoding=linear32&sample_rate=16000", lambda audio: audio.astype("<f4").tobytes()),
        ("encoding=mulaw&sample_rate=8000", lambda audio: g711(audio, "mulaw")),
        ("encoding=alaw&sample_rate=8000", lambda audio: g711(audio, "alaw")),
        (f"{RAW}&channels=2", lambda audio: np.repeat(np.frombuffer(pcm(audio), "<i2"), 2).tobytes()),
        ("", lambda audio: wav(pcm(audio))),
        ("", lambda audio: wav(np.repeat(np.frombuffer(pcm(audio), "<i2"), 2).tobytes(), channels=2)),
    ],
)
def test_every_encoding_gives_the_same_words(query: str, encode: Any) -> None:
    played = stage(base=query)
    played.say(*chunks(encode(SPEECH), 1_001), CLOSE)

    assert utterances(played) == ["w1 w2 w3", "w4 w5"]


def test_results_cover_the_stream_without_a_hole() -> None:
    played = stage("interim_results=true")
    played.say(*chunks(pcm(SPEECH)), CLOSE)

    cursor = 0.0
    for message in played.of("Results"):
        assert message["start"] == pytest.approx(cursor)
        cursor += message["duration"] if message["is_final"] else 0


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_metadata_sums_up_what_was_received(rate: int) -> None:
    data = pcm(SPEECH, rate)
    played = stage(base=f"encoding=linear16&sample_rate={rate}")
    played.say(*chunks(data), CLOSE)

    [metadata] = played.of("Metadata")
    assert metadata["sha256"] == sha256(data).hexdigest()
    assert metadata["duration"] == len(SPEECH) / SAMPLE_RATE


@pytest.mark.parametrize("channels", [1, 2])
def test_of_a_file_metadata_say_how_many_channels_it_has(channels: int) -> None:
    played = stage(base="")
    played.say(wav(bytes(3_200), channels), CLOSE)

    [metadata] = played.of("Metadata")
    assert (metadata["channels"], metadata["duration"]) == (channels, 0.1 / channels)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_chunk_that_follows_the_samples_of_a_file_is_not_heard(channels: int) -> None:
    played = stage(base="")
    title = b"LIST" + (1_600).to_bytes(4, "little") + bytes(1_600)
    played.say(*chunks(wav(bytes(1_600 * channels) + title, channels, length=1_600 * channels), 1_001), CLOSE)

    assert [message["duration"] for message in played.of("Metadata")] == [0.05]


def test_an_empty_message_closes_like_closestream() -> None:
    played = stage()
    played.say(*chunks(pcm(SPEECH)), b"", pcm(SPEECH), CLOSE, FINALIZE, "nonsense")

    assert utterances(played) == ["w1 w2 w3", "w4 w5"]
    assert played.kinds.count("Metadata") == 1


@pytest.mark.parametrize("slow", [True, False])
def test_finalize_decides_everything_and_marks_the_last_words(slow: bool) -> None:
    played = stage(slow=slow)
    played.say(*chunks(pcm(speak([1, 2, 3]))), FINALIZE)
    played.settle()

    *before, last = finals(played)
    assert " ".join(filter(None, (best(final)["transcript"] for final in [*before, last]))) == "w1 w2 w3"
    assert best(last)["transcript"], "clients look for the mark at words, not at an empty result"
    assert (last["from_finalize"], last["speech_final"]) == (True, True)
    assert not any(final["from_finalize"] for final in before)


def test_finalize_with_nothing_to_decide_is_answered_all_the_same() -> None:
    played = stage()
    played.say(pcm(silence(8_000)), FINALIZE, FINALIZE, {**FINALIZE, "channel": 0})

    assert [(best(final)["transcript"], final["from_finalize"]) for final in finals(played)] == [("", True)] * 3


@pytest.mark.parametrize(("query", "ends"), [("", True), ("endpointing=false", False)])
def test_the_stream_goes_on_after_finalize_as_before(query: str, ends: bool) -> None:
    played = stage(query)
    played.say(*chunks(pcm(speak([1, 2]))), FINALIZE, *chunks(pcm(sentence(4, 5))))

    assert utterances(played) == ["w1 w2", "w4 w5"]
    assert finals(played)[-1]["speech_final"] is ends


def test_keepalive_is_not_answered() -> None:
    played = stage()

    assert played.say(ALIVE, {**ALIVE, "channel": 0}) == []


def test_without_endpointing_no_pause_is_the_end() -> None:
    played = stage("endpointing=false")
    played.say(*chunks(pcm(SPEECH)))

    assert not any(final["speech_final"] for final in finals(played))
    assert utterances(played) == ["w1 w2 w3 w4 w5"]


def test_the_clients_own_silence_ends_an_utterance() -> None:
    pause = np.concatenate([speak([1]), silence(SAMPLE_RATE * 7 // 10), speak([2]), silence(SAMPLE_RATE * 2)])

    played = [stage(f"endpointing={milliseconds}") for milliseconds in (300, 1_500)]
    for each in played:
        each.say(*chunks(pcm(pause)))

    assert [utterances(each) for each in played] == [["w1", "w2"], ["w1 w2"]]


def gap(milliseconds: int) -> Samples:
    """Two words with so much silence between them, and as much after them."""
    quiet = silence(SAMPLE_RATE * milliseconds // 1_000)
    return np.concatenate([speak([1], gap=0), quiet, speak([2], gap=0), quiet])


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize(("milliseconds", "ends"), [(1_300, 2), (970, 0), (900, 0)])
def test_an_utterance_end_is_told_once_after_a_gap_between_words(milliseconds: int, ends: int, slow: bool) -> None:
    played = stage("interim_results=true&utterance_end_ms=1000", slow=slow)
    played.say(*chunks(pcm(gap(milliseconds))))
    played.settle()

    told = played.of("UtteranceEnd")
    assert len(told) == ends
    if told:
        assert told[0] == {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": pytest.approx(0.3, abs=0.01)}


def test_an_utterance_end_waits_for_speech_that_may_have_begun() -> None:
    """The second word begins 0.97 s after the first, which is known 0.09 s later."""
    played = stage("interim_results=true&utterance_end_ms=1000")

    played.say(*chunks(pcm(gap(970)), 20))
    assert played.of("UtteranceEnd") == []


def test_an_utterance_end_comes_after_the_final_it_speaks_of() -> None:
    played = stage("interim_results=true&utterance_end_ms=1000", slow=True)
    played.say(*chunks(pcm(gap(1_500))), CLOSE)
    played.settle()

    shown = [m for m in played.told if m["type"] == "UtteranceEnd" or (m["type"] == "Results" and m["is_final"])]
    ends = [index for index, message in enumerate(shown) if message["type"] == "UtteranceEnd"]
    assert [shown[index - 1]["speech_final"] for index in ends] == [True] * len(ends)
    assert ends


def test_an_utterance_end_waits_for_the_words_that_a_finalize_asked_for() -> None:
    told = codec("interim_results=true&utterance_end_ms=1000")
    list(told.decode(json.dumps(FINALIZE)))
    heard = [
        events.SpeechStarted(1, 1_600),
        events.Commit(1, 1, "Good,", 2_000, 4_000, (word(" Good,", 2_000, 4_000),)),
        events.SpeechEnded(1, 8_000, audio_end=40_000),
        events.Marked("deepgram", 40_000),
        events.Commit(2, 1, " day.", 4_000, 8_000, (word(" day.", 4_000, 8_000),)),
        events.Final(1, "Good, day.", 1_600, 40_000, "en"),
        events.Flushed("deepgram"),
    ]
    messages = [json.loads(message) for event in heard for message in told.encode(event)]

    assert [best(message)["transcript"] for message in messages] == ["Good,", "day."]


@pytest.mark.parametrize(
    "message", ["", "nonsense", "[1]", "{}", '{"type":7}', '{"type":"Sing"}', "[" * 100_000, '{"type":"\\ud800"}']
)
def test_a_wrong_message_is_answered_and_the_stream_goes_on(message: str) -> None:
    played = stage()
    [error] = played.say(message)
    played.say(*chunks(pcm(SPEECH)), CLOSE)

    assert (error["type"], error["variant"]) == ("Error", "SchemaError")
    assert "KeepAlive, Finalize, CloseStream or Configure" in error["description"]
    assert utterances(played) == ["w1 w2 w3", "w4 w5"]


SUCCESS = {"type": "ConfigureSuccess", "request_id": "abc"}
FAILURE = {"type": "ConfigureFailure", "request_id": "abc", "code": "INVALID_VALUE"}


@pytest.mark.parametrize(
    ("message", "told", "contexts"),
    [
        ({"keyterms": ["Ada", "Li"]}, {**SUCCESS, "keyterms": ["Ada", "Li"]}, ["Ada, Li."]),
        ({"keyterms": []}, {**SUCCESS, "keyterms": []}, [""]),
        ({"features": {}}, SUCCESS, []),
        ({"keyterms": "Ada"}, {**FAILURE, "description": "keyterms must be a list of texts"}, []),
        ({"keyterms": [1]}, {**FAILURE, "description": "keyterms must be a list of texts"}, []),
    ],
)
def test_keyterms_can_be_changed(message: dict[str, Any], told: dict[str, Any], contexts: list[str]) -> None:
    played = stage("keyterm=Bobo")

    assert played.say({"type": "Configure", **message}) == [told]
    assert [command.context for command in played.commands if isinstance(command, Configure)] == contexts


def test_samples_that_are_no_numbers_end_the_stream_with_deepgrams_code() -> None:
    told = codec(base="encoding=linear32&sample_rate=16000")
    with pytest.raises(ProtocolError) as caught:
        list(told.decode(np.array([np.nan], "<f4").tobytes()))

    code, reason = told.closing(caught.value.close, caught.value)
    assert code == 1008
    assert reason.startswith("DATA-0000: samples must be finite")


@pytest.mark.parametrize(
    ("code", "close", "closing"),
    [
        (ErrorCode.IDLE_TIMEOUT, Close.NOT_ALLOWED, (1011, "net0001: why")),
        (ErrorCode.INTERNAL, Close.OUR_FAULT, (1011, "NET-0000: why")),
        (ErrorCode.SHUTTING_DOWN, Close.RESTARTING, (1012, "shutting_down: why")),
    ],
)
def test_the_end_of_a_stream_has_a_code(code: ErrorCode, close: Close, closing: tuple[int, str]) -> None:
    failure = ProtocolError(code, "why", close)

    assert codec().closing(close, failure) == closing
    assert list(codec().refuse(failure)) == []
    assert codec().closing(Close.NORMAL, None) == (1000, "")


def test_a_client_that_goes_without_a_word_leaves_nothing_behind_in_the_resampler() -> None:
    told = codec(base="encoding=linear16&sample_rate=48000")
    given = sum(len(c.samples) for c in told.decode(bytes(96_000)))  # type: ignore[union-attr]

    assert given + sum(map(len, told.leftover())) == SAMPLE_RATE


def test_a_client_that_has_stopped_or_said_nothing_leaves_nothing_behind() -> None:
    silent, stopped = codec(base=""), codec(base="encoding=linear16&sample_rate=48000")
    for message in (bytes(96_000), json.dumps(CLOSE)):
        list(stopped.decode(message))

    assert [list(each.leftover()) for each in (silent, stopped)] == [[], []]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KIND = st.sampled_from(["KeepAlive", "Finalize", "Configure", "x"])


@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.binary(min_size=1, max_size=30),
            st.builds(lambda kind, rest: {**rest, "type": kind}, KIND, st.dictionaries(st.just("keyterms"), JUNK)),
            st.sampled_from([FINALIZE, pcm(sentence(1)), pcm(speak([2]))]),
        ),
        max_size=8,
    ),
    st.sampled_from(["", "interim_results=true&utterance_end_ms=1000&vad_events=true&endpointing=false"]),
)
@settings(max_examples=60, deadline=None)
def test_no_message_breaks_a_stream(messages: list[Any], query: str) -> None:
    played = stage(query)
    played.say(*messages, CLOSE)

    assert played.session.done
    assert played.kinds[-1] == "Metadata"
    asked = sum(isinstance(m, dict) and m["type"] == "Finalize" for m in messages)
    assert sum(final["from_finalize"] for final in finals(played)) == asked


@given(st.text(max_size=60), st.sampled_from(["sample_rate", "endpointing", "channels", "language", "keywords", "q"]))
def test_no_url_breaks_the_handshake(value: str, name: str) -> None:
    query = (("encoding", "linear16"), ("sample_rate", "16000"), (name, value))
    with suppress(HandshakeError):
        DeepgramCodec(Handshake("abc", "", query), HOUSE)
