"""Vosk's protocol: recorded messages in both directions, lockstep, and what nobody meant to send."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Word
from streamer.core import events
from streamer.core.commands import Audio, Close, Configure, ErrorCode, Mark, ProtocolError, Stop
from streamer.protocols.handshake import HandshakeError
from streamer.protocols.vosk import VoskCodec
from tests.fakes import speak
from tests.streamer.harness import sentence
from tests.streamer.protocols.stage import HOUSE, Stage, pcm, shaken

RATE = {"config": {"sample_rate": SAMPLE_RATE}}
EOF, RESET = '{"eof" : 1}', '{"reset" : 1}'
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])


def codec(query: str = "") -> VoskCodec:
    return VoskCodec(shaken(query), HOUSE)


def stage(query: str = "", *, slow: bool = False) -> Stage:
    return Stage(codec(query), slow=slow)


def chunks(data: bytes, size: int = 3_200) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def texts(answers: list[dict[str, Any]]) -> list[str]:
    """Texts of the results, partial ones left out."""
    return [answer["text"] for answer in answers if answer.get("text")]


def word(text: str, start: int, end: int, probability: float = 0.5) -> Word:
    return Word(text, start, end, probability, (1,))


GOOD = {"conf": 0.5, "start": 0.125, "end": 0.25, "word": "Good,"}
DAY = {"conf": 1.0, "start": 0.25, "end": 0.5, "word": "day."}
HELLO = {"conf": 0.75, "start": 1.25, "end": 1.5, "word": "Hello."}
SAID: list[events.Event] = [
    events.SpeechStarted(1, 1_600),
    events.Partial(1, "Good", 2_000, 4_000),
    events.Commit(1, 1, "Good,", 2_000, 4_000, (word(" Good,", 2_000, 4_000),)),
    events.Partial(1, " day", 4_000, 6_000),
    events.SpeechEnded(1, 8_000, audio_end=16_000),
    events.Commit(2, 1, " day.", 4_000, 8_000, (word(" day.", 4_000, 8_000, 1.0),)),
    events.Final(1, "Good, day.", 1_600, 16_000, "en"),
]
MORE: list[events.Event] = [
    events.SpeechStarted(2, 16_000),
    events.Warned("window_full", "…"),
    events.Gap(16_000, 20_000, "recognition failed"),
    events.Paced(6_400),
    events.Commit(3, 2, "Hello.", 20_000, 24_000, (word(" Hello.", 20_000, 24_000, 0.75),)),
    events.Final(2, "Hello.", 16_000, 32_000, "en"),
    events.SpeechStarted(3, 33_000),
    events.Final(3, "", 33_000, 40_000, "en"),
]
DONE = events.Done(48_000, 3)


def told(codec: VoskCodec, *given: events.Event) -> list[dict[str, Any]]:
    return [json.loads(message) for event in given for message in codec.encode(event)]


def ask(codec: VoskCodec) -> list[dict[str, Any]]:
    """Send a message without audio; return its answer."""
    *_, mark = codec.decode(b"")
    assert isinstance(mark, Mark)
    return told(codec, events.Marked(mark.marker, 0))


def test_nothing_is_told_unasked() -> None:
    assert told(codec(), *SAID, *MORE) == []


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        (0, {"partial": ""}),
        (2, {"partial": "Good"}),
        (3, {"partial": "Good,"}),
        (4, {"partial": "Good, day"}),
        (5, {"partial": "Good, day"}),
        (6, {"partial": "Good, day."}),
        (7, {"result": [GOOD, DAY], "text": "Good, day."}),
    ],
)
def test_a_message_is_answered_with_the_newest_that_is_known(heard: int, answer: dict[str, Any]) -> None:
    asked = codec()
    told(asked, *SAID[:heard])

    assert ask(asked) == [answer]


def test_what_was_decided_is_told_once_one_utterance_an_answer() -> None:
    asked = codec()
    told(asked, *SAID, *MORE, events.Partial(4, "and", 41_000, 42_000))

    assert [ask(asked) for _ in range(3)] == [
        [{"result": [GOOD, DAY], "text": "Good, day."}],
        [{"result": [HELLO], "text": "Hello."}],
        [{"partial": "and"}],
    ]


def test_the_end_is_one_answer_with_everything_not_told_before() -> None:
    assert told(codec(), *SAID, *MORE, DONE) == [{"result": [GOOD, DAY, HELLO], "text": "Good, day. Hello."}]
    assert told(codec(), DONE) == [{"text": ""}]


def test_an_end_without_a_word_is_no_sure_alternative() -> None:
    asked = codec()
    list(asked.decode('{"config": {"max_alternatives": 1}}'))

    assert told(asked, DONE) == [{"alternatives": [{"text": "", "confidence": 0.0}]}]


@pytest.mark.parametrize(
    ("query", "config", "answer"),
    [
        ("", {"words": True}, {"result": [GOOD, DAY], "text": "Good, day."}),
        ("", {"words": 0}, {"text": "Good, day."}),
        ("", {"max_alternatives": 0}, {"result": [GOOD, DAY], "text": "Good, day."}),
        (
            "",
            {"max_alternatives": 3},
            {
                "alternatives": [
                    {
                        "text": "Good, day.",
                        "confidence": 0.75,
                        "result": [{k: v for k, v in w.items() if k != "conf"} for w in (GOOD, DAY)],
                    }
                ]
            },
        ),
        ("", {"max_alternatives": 3, "words": False}, {"alternatives": [{"text": "Good, day.", "confidence": 0.75}]}),
        ("punctuate=false", {"words": False}, {"text": "good day"}),
        ("punctuate=false", {}, {"result": [{**GOOD, "word": "good"}, {**DAY, "word": "day"}], "text": "good day"}),
    ],
)
def test_results_are_as_the_client_wants_them(query: str, config: dict[str, Any], answer: dict[str, Any]) -> None:
    asked = codec(query)
    assert list(asked.decode(json.dumps({"config": config}))) == []
    told(asked, *SAID)

    assert ask(asked) == [answer]


def test_partials_without_punctuation_too() -> None:
    asked = codec("punctuate=false")
    told(asked, *SAID[:4])

    assert ask(asked) == [{"partial": "good day"}]


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"phrase_list": ["Ada Lovelace", "[unk]", "zero one"]}, "Ada Lovelace, zero one."),
        ({"phrase_list": ["x" * 1_990, "y" * 20, "z"]}, "x" * 1_990 + "."),
        ({"phrase_list": [], "model": "small", "spk": {}}, None),
        ({"phrase_list": None}, None),
        ({}, None),
    ],
)
def test_phrases_are_a_prompt(config: dict[str, Any], context: str | None) -> None:
    commands = list(codec("language=de-DE").decode(json.dumps({"config": config})))

    assert commands == ([] if context is None else [Configure(language="de", context=context)])


def test_a_stream_begins_without_a_config_and_hears_the_language_it_is_given() -> None:
    assert codec().opening() == Configure()
    assert codec("language=en-US&q=1").opening() == Configure(language="en")
    with pytest.raises(HandshakeError, match="language must be one of de, en, got 'xx'"):
        codec("language=xx")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (7, "config must be an object, got 7"),
        ({"sample_rate": 7_999}, r"sample_rate must be a whole number in \[8000, 48000\], got 7999"),
        ({"sample_rate": "fast"}, "got 'fast'"),
        ({"sample_rate": "1" * 5_000}, "got '1111"),
        ({"sample_rate": "²"}, "got '²'"),
        ({"sample_rate": None}, "got None"),
        ({"sample_rate": 1e300}, "got 1e"),
        ({"words": "yes"}, "words must be true or false, got 'yes'"),
        ({"max_alternatives": -1}, "max_alternatives must be a whole number, 0 at least, got -1"),
        ({"phrase_list": "Ada"}, "phrase_list must be a list of texts, got 'Ada'"),
        ({"phrase_list": [1]}, "phrase_list must be a list of texts"),
    ],
)
def test_a_wrong_config_ends_the_stream_with_a_reason(config: Any, complaint: str) -> None:
    asked = codec()
    with pytest.raises(ProtocolError, match=complaint) as caught:
        list(asked.decode(json.dumps({"config": config})))

    code, reason = asked.closing(caught.value.close, caught.value)
    assert (code, reason) == (1008, f"bad_value: {caught.value.message}")


@pytest.mark.parametrize("message", ["", "nonsense", "[1]", "7", "[" * 100_000, '{"eof" 1}', '{"a":"\\ud800"}'])
def test_text_that_is_no_object_ends_the_stream(message: str) -> None:
    with pytest.raises(ProtocolError, match="a text message must be a JSON object") as caught:
        list(codec().decode(message))

    assert (caught.value.code, caught.value.close) == (ErrorCode.BAD_MESSAGE, Close.UNREADABLE)


def test_the_rate_holds_for_the_whole_stream() -> None:
    asked = codec()
    list(asked.decode(bytes(800)))

    assert list(asked.decode('{"config": {"sample_rate": 8000.0}}')) == []
    with pytest.raises(ProtocolError, match="sample_rate cannot change within a stream: it is 8000, got 16000"):
        list(asked.decode(json.dumps(RATE)))


@pytest.mark.parametrize(("rate", "said"), [(8_000, None), (8_000, 8_000.0), (16_000, 16_000), (44_100, "44100")])
def test_samples_are_taken_at_the_clients_rate(rate: int, said: Any) -> None:
    played = stage()
    if said is not None:
        played.say({"config": {"sample_rate": said}})
    answers = played.say(*chunks(pcm(SPEECH, rate), 3_001), EOF)

    assert texts(answers) == ["w1 w2 w3", "w4 w5"]
    assert played.session.received == pytest.approx(len(SPEECH), abs=2)


@pytest.mark.parametrize("size", [4, 40, 5_000])
def test_a_file_may_come_with_its_header(size: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, SPEECH, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    played = stage()
    head, rest = file.getvalue()[:100], file.getvalue()[100:] + b"LIST\x08\0\0\0a title."
    sent = [*chunks(head, size), *chunks(rest)]
    answers = played.say(*sent, EOF)

    assert texts(answers) == ["w1 w2 w3", "w4 w5"]
    assert len(answers) == len(sent) + 1
    assert played.session.received == len(SPEECH)


def answers_one_by_one(played: Stage, *messages: Any) -> list[list[dict[str, Any]]]:
    """What is told after each message, while the recognizer does nothing that it is not asked for."""
    answers = []
    for message in messages:
        before = len(played.told)
        played.say(message)
        played.take()
        answers.append(played.told[before:])
    return answers


@pytest.mark.parametrize("slow", [False, True])
def test_every_message_but_config_has_one_answer_at_once_and_nothing_is_lost(slow: bool) -> None:
    played = stage(slow=slow)
    sent = [*chunks(pcm(SPEECH)), b"", '{"vad": "later"}', '{"eof": 0}']
    assert answers_one_by_one(played, RATE) == [[]]
    answers = answers_one_by_one(played, *sent)
    played.say(EOF)
    last = played.settle()[-1] if slow else played.told[-1]

    assert [len(answer) for answer in answers] == [1] * len(sent)
    told = [answer for [answer] in answers]
    assert texts([*told, last]) == (["w1 w2 w3 w4 w5"] if slow else ["w1 w2 w3", "w4 w5"])
    assert slow or {"partial": "w1"} in told
    assert played.session.done


def test_a_reset_is_answered_with_everything_so_far_and_the_stream_goes_on() -> None:
    played = stage()
    played.say(RATE, *chunks(pcm(speak([1, 2]))))
    first = played.say(RESET)
    second = played.say(RESET)
    rest = played.say(*chunks(pcm(sentence(3))), EOF)

    assert [answer["text"] for answer in first + second] == ["w1 w2", ""]
    assert texts(rest) == ["w3"]
    [w3] = next(answer["result"] for answer in rest if "result" in answer)
    assert w3["start"] == pytest.approx(len(speak([1, 2])) / SAMPLE_RATE + 0.1, abs=0.01)


def test_a_client_that_does_not_wait_gets_its_answers_in_the_order_of_its_messages() -> None:
    played = stage(slow=True)
    played.say(RATE, pcm(speak([1, 2])), RESET, b"", pcm(sentence(3)), RESET, b"")
    played.take()
    assert played.told == [{"partial": ""}]
    played.say(EOF)
    answers = played.settle()

    assert [answer.get("text", answer.get("partial")) for answer in answers] == ["w1 w2", "", "", "w3", "", ""]
    assert [list(answer)[-1] for answer in answers] == ["text", "partial", "partial", "text", "partial", "text"]


def test_after_the_end_nothing_means_anything() -> None:
    played = stage()
    played.say(RATE, EOF)

    assert played.say(b"1234", EOF, "nonsense") == []
    assert [type(command) for command in played.commands][-1] is Stop


@pytest.mark.parametrize(
    ("heard", "text"),
    [([*SAID, *MORE[:5]], "Good, day. Hello."), (SAID, "Good, day."), (SAID[:3], "Good,")],
)
def test_samples_that_are_no_numbers_end_the_stream_after_what_was_decided(heard: list[Any], text: str) -> None:
    asked = codec()
    file = io.BytesIO()
    soundfile.write(file, np.array([0.0, np.nan], np.float32), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    with pytest.raises(ProtocolError, match="samples must be finite") as caught:
        list(asked.decode(file.getvalue()))
    told(asked, *heard)

    assert [json.loads(message)["text"] for message in asked.refuse(caught.value)] == [text]
    assert list(asked.refuse(caught.value)) == []
    assert asked.closing(Close.NORMAL, None) == (1000, "")


def test_a_client_that_goes_without_a_word_leaves_nothing_behind_in_the_resampler() -> None:
    asked = codec()
    given = sum(len(c.samples) for c in asked.decode(bytes(16_000)) if isinstance(c, Audio))

    assert given + sum(map(len, asked.leftover())) == SAMPLE_RATE


def test_a_client_that_has_stopped_or_said_nothing_leaves_nothing_behind() -> None:
    silent, stopped = codec(), codec()
    for message in (bytes(16_000), EOF):
        list(stopped.decode(message))

    assert [list(each.leftover()) for each in (silent, stopped)] == [[], []]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = {"reset": json.loads(RESET), "sentence": pcm(sentence(1)), "word": pcm(speak([2]))}
FIELD = st.sampled_from(["sample_rate", "words", "max_alternatives", "phrase_list", "model"])


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.dictionaries(st.sampled_from(["reset", "eof", "x"]), JUNK, max_size=2).filter(
                lambda f: not f.get("eof")
            ),
            st.sampled_from(["reset", "sentence", "word"]).map(lambda name: KNOWN[name]),
        ),
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_sent_has_one_answer_each(messages: list[Any], slow: bool) -> None:
    played = stage(slow=slow)
    played.say(RATE, *messages, EOF)
    played.settle()

    assert played.session.done
    assert len(played.told) == len(messages) + 1


@given(FIELD, JUNK)
def test_no_config_breaks_a_stream_but_by_a_reason(name: str, value: Any) -> None:
    played = stage()
    with suppress(ProtocolError):
        assert played.say({"config": {name: value}}) == []
    assert len(played.say(bytes(320), EOF)) == 2
