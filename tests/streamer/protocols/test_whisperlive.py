"""WhisperLive's protocol: recorded messages in both directions, and which of two a client without a path speaks."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Task, Word
from streamer.core import events
from streamer.core.commands import Close, Configure, ErrorCode, ProtocolError
from streamer.protocols.pathless import PathlessCodec
from streamer.protocols.whisperlive import END, WhisperLiveCodec
from tests.streamer.harness import sentence
from tests.streamer.protocols.stage import HOUSE, Stage, pcm, shaken

FIRST = {"uid": "me", "language": None, "task": "transcribe", "model": "small", "use_vad": True}
READY = {"uid": "me", "message": "SERVER_READY", "backend": "faster_whisper"}
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])


def codec(**fields: Any) -> WhisperLiveCodec:
    """Make a codec that has its options."""
    made = WhisperLiveCodec(shaken(), HOUSE)
    list(made.decode(json.dumps({**FIRST, **fields})))
    return made


def chunks(size: int = 4_096) -> list[bytes]:
    return [SPEECH[at : at + size].astype("<f4").tobytes() for at in range(0, len(SPEECH), size)]


def said(text: str, start: str, end: str, *, completed: bool = False) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text, "completed": completed}


GOOD_DAY = said(" Good, day.", "0.125", "0.500", completed=True)
EVENTS: list[tuple[events.Event, list[dict[str, Any]]]] = [
    (events.SpeechStarted(1, 1_600), []),
    (events.Partial(1, "", 1_600, 1_600), []),
    (events.Partial(1, "Good", 2_000, 4_000), [{"segments": [said(" Good", "0.125", "0.250")]}]),
    (
        events.Commit(1, 1, "Good,", 2_000, 4_000, (Word(" Good,", 2_000, 4_000, 0.5, (1,)),)),
        [{"segments": [said(" Good,", "0.125", "0.250")]}],
    ),
    (events.Partial(1, " day", 4_000, 6_000), [{"segments": [said(" Good, day", "0.125", "0.375")]}]),
    (events.SpeechEnded(1, 8_000, audio_end=16_000), []),
    (
        events.Commit(2, 1, " day.", 4_000, 8_000, (Word(" day.", 4_000, 8_000, 0.5, (1,)),)),
        [{"segments": [said(" Good, day.", "0.125", "0.500")]}],
    ),
    (events.Final(1, "Good, day.", 1_600, 16_000, "en"), [{"language": "en"}, {"segments": [GOOD_DAY]}]),
    (events.SpeechStarted(2, 7_000), []),
    (events.Warned("window_full", "…"), []),
    (events.Gap(16_000, 20_000, "recognition failed"), []),
    (events.Paced(6_400), []),
    (events.Partial(2, "Oh", 7_000, 7_500), [{"segments": [GOOD_DAY, said(" Oh", "0.500", "0.500")]}]),
    (events.Final(2, "", 16_000, 32_000, "en"), []),
    (
        events.Commit(3, 3, "Hello.", 7_500, 24_000, (Word(" Hello.", 7_500, 24_000, 0.5, (1,)),)),
        [{"segments": [GOOD_DAY, said(" Hello.", "0.500", "1.500")]}],
    ),
    (
        events.Final(3, "Hello.", 7_500, 32_000, "de"),
        [{"segments": [GOOD_DAY, said(" Hello.", "0.500", "1.500", completed=True)]}],
    ),
    (events.Done(48_000, 3), []),
]


def test_every_event_has_its_messages() -> None:
    told = codec()

    for number, (event, messages) in enumerate(EVENTS):
        expected = [{"uid": "me", **message} for message in messages]
        assert [json.loads(message) for message in told.encode(event)] == expected, f"event {number}: {event}"


def test_only_the_last_completed_segments_are_told() -> None:
    told = codec(send_last_n_segments=1, language="en")
    *_, last = [json.loads(message) for event, _ in EVENTS for message in told.encode(event)]

    assert last["segments"] == [said(" Hello.", "0.500", "1.500", completed=True)]


def test_a_language_that_was_said_is_not_told() -> None:
    told = codec(language="en")

    assert not [m for event, _ in EVENTS for m in told.encode(event) if "language" in json.loads(m)]


def test_a_language_is_told_once_it_is_known() -> None:
    told = codec()
    unknown, known = events.Final(1, "", 1_600, 8_000, ""), events.Final(2, "", 9_000, 16_000, "de")

    assert [list(told.encode(unknown)), [json.loads(message) for message in told.encode(known)]] == [
        [],
        [{"uid": "me", "language": "de"}],
    ]


def test_a_draft_that_comes_to_nothing_is_taken_back() -> None:
    told = codec()
    [*_, last] = [
        json.loads(message)
        for event in (*(event for event, _ in EVENTS[:5]), events.Partial(1, "", 4_000, 4_000))
        for message in told.encode(event)
    ]

    assert last["segments"] == [said(" Good,", "0.125", "0.250")]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {}),
        ({"language": "de", "task": "translate"}, {"language": "de", "task": Task.TRANSLATE}),
        ({"language": "", "task": "transcribe", "max_clients": 4, "vad_parameters": {"onset": 0.5}}, {}),
        ({"initial_prompt": "A talk.", "hotwords": "Ada, Bobo"}, {"context": "A talk. Ada, Bobo."}),
        ({"initial_prompt": None, "hotwords": None}, {}),
    ],
)
def test_the_first_message_says_what_is_wanted(fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    first, _ = WhisperLiveCodec(shaken(), HOUSE).decode(json.dumps({"uid": "me", **fields}))

    assert first == Configure(**wanted)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"1234", "the first message must be a JSON object with the options"),
        ("", "the first message must be a JSON object"),
        ("[1]", "the first message must be a JSON object"),
        ("[" * 100_000, "the first message must be a JSON object"),
        ('{"uid":7}', "uid"),
        ('{"task":"sing"}', "^task must be one of transcribe, translate, got 'sing'"),
        ('{"send_last_n_segments":0}', "send_last_n_segments"),
        ('{"language":"xx"}', "language must be one of de, en, got 'xx'"),
    ],
)
def test_a_wrong_first_message_ends_the_stream_with_a_reason(message: Any, complaint: str) -> None:
    made = WhisperLiveCodec(shaken(), HOUSE)
    with pytest.raises(ProtocolError, match=complaint) as caught:
        list(made.decode(message))

    [refusal] = map(json.loads, made.refuse(caught.value))
    assert refusal == {"uid": "", "status": "ERROR", "message": caught.value.message}
    assert made.closing(caught.value.close, caught.value)[0] in {1007, 1008}


@pytest.mark.parametrize("code", [ErrorCode.SHUTTING_DOWN, ErrorCode.IDLE_TIMEOUT])
def test_an_end_that_is_nobodys_mistake_is_a_disconnect(code: ErrorCode) -> None:
    [told] = codec().refuse(ProtocolError(code, "why", Close.RESTARTING))

    assert json.loads(told) == {"uid": "me", "message": "DISCONNECT"}


def test_samples_that_are_no_numbers_end_the_stream() -> None:
    with pytest.raises(ProtocolError, match="samples must be finite"):
        list(codec().decode(np.array([np.nan], "<f4").tobytes()))


@pytest.mark.parametrize("slow", [False, True])
def test_a_stream_is_told_as_segments(slow: bool) -> None:
    played = Stage(WhisperLiveCodec(shaken(), HOUSE), slow=slow)
    played.say(FIRST)
    played.take()
    assert played.told == [READY]
    played.say(*chunks(), "later", END, b"1234", "more")
    played.settle()

    last = [message["segments"] for message in played.told if "segments" in message][-1]
    assert [segment["text"] for segment in last] == [" w1 w2 w3", " w4 w5"]
    assert all(segment["completed"] for segment in last)
    assert all(message["segments"] for message in played.told if "segments" in message)
    assert played.session.done


def test_segments_never_go_back_in_time_nor_change_once_completed() -> None:
    played = Stage(WhisperLiveCodec(shaken(), HOUSE))
    played.say(FIRST, *chunks(), END)
    known: list[dict[str, Any]] = []
    for segments in (message["segments"] for message in played.told if "segments" in message):
        completed = [segment for segment in segments if segment["completed"]]
        assert completed[: len(known)] == known
        assert [segment["completed"] for segment in segments] == sorted(
            (s["completed"] for s in segments), reverse=True
        )
        times = [float(time) for segment in segments for time in (segment["start"], segment["end"])]
        assert times == sorted(times)
        known = completed


@given(
    st.lists(st.binary(max_size=40) | st.text(max_size=20) | st.sampled_from([chunks()[0], END]), max_size=6),
    st.dictionaries(
        st.sampled_from(["uid", "language", "task", "hotwords", "send_last_n_segments", "x"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2),
    ),
)
@settings(max_examples=60, deadline=None)
def test_no_message_breaks_a_stream_but_by_a_reason(messages: list[Any], fields: dict[str, Any]) -> None:
    played = Stage(WhisperLiveCodec(shaken(), HOUSE))
    with suppress(ProtocolError):
        played.say({**FIRST, **fields}, *messages, END)
        assert played.session.done


@pytest.mark.parametrize(
    ("first", "answers"),
    [
        (FIRST, [READY]),
        ({"config": {"sample_rate": 8_000}}, []),
        (b"", [{"partial": ""}]),
        ({"eof": 1}, [{"text": ""}]),
    ],
)
def test_without_a_path_the_first_message_tells_the_protocol(first: Any, answers: list[Any]) -> None:
    played = Stage(PathlessCodec(shaken(), HOUSE))

    assert played.say(first) == answers


def test_without_a_path_both_protocols_give_the_same_words() -> None:
    lively, locked = (Stage(PathlessCodec(shaken(), HOUSE)) for _ in range(2))
    lively.say(FIRST, *chunks(), END)
    locked.say({"config": {"sample_rate": SAMPLE_RATE}}, pcm(SPEECH), b"", b"", {"eof": 1})

    words = [segment["text"].strip() for segment in lively.told[-1]["segments"]]
    assert words == [answer["text"] for answer in locked.told if answer.get("text")] == ["w1 w2 w3", "w4 w5"]


@pytest.mark.parametrize("message", ["nonsense", "[1]"])
def test_without_a_path_nonsense_is_refused(message: str) -> None:
    made = PathlessCodec(shaken(), HOUSE)
    with pytest.raises(ProtocolError) as caught:
        list(made.decode(message))

    assert list(made.refuse(caught.value)) == []
    assert list(made.leftover()) == []
    assert made.closing(caught.value.close, caught.value)[0] == 1007
