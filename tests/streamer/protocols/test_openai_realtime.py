from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Hypothesis, Word
from streamer.core import events
from streamer.core.commands import Close, ErrorCode, ProtocolError
from streamer.protocols.handshake import HandshakeError
from streamer.protocols.openai_items import LEAST_AUDIO, Conversation
from streamer.protocols.openai_realtime import OpenAIRealtimeCodec
from tests.fakes import silence, speak
from tests.streamer.harness import sentence
from tests.streamer.protocols.stage import HOUSE, Stage, append, appends, g711, pcm, shaken

T = "conversation.item.input_audio_transcription"
COMMIT = {"type": "input_audio_buffer.commit", "event_id": "mine"}
CLEAR = {"type": "input_audio_buffer.clear"}
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
TURN = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def update(**given: Any) -> dict[str, Any]:
    """A session.update of `audio.input`."""
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": given}}}


MANUAL = update(turn_detection=None)


def stage(query: str = "intent=transcription", **fields: Any) -> Stage:
    return Stage(OpenAIRealtimeCodec(shaken(query, **fields), HOUSE))


def error(played: Stage) -> dict[str, Any]:
    [told] = played.of("error")
    return told["error"]


def transcripts(played: Stage) -> list[str]:
    return [message["transcript"] for message in played.of(f"{T}.completed")]


def kinds(played: Stage) -> list[str]:
    """Types in order, deltas left out: how many there are is the recognizer's business."""
    return [kind for kind in played.kinds if not kind.endswith(".delta")]


def word(text: str, start: int, end: int) -> Word:
    return Word(text, start, end, 0.5, (1,))


def test_the_server_speaks_first() -> None:
    [created] = stage().told

    assert created["type"] == "session.created"
    assert created["event_id"]
    assert created["session"]["id"] == "sess_abc"
    assert created["session"]["object"] == "realtime.transcription_session"
    assert created["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize(
    ("query", "transcription"),
    [
        ("intent=transcription", None),
        ("model=gpt-4o-transcribe", {"model": "gpt-4o-transcribe", "language": None, "prompt": None}),
        ("intent=transcription&model=x&unknown=1", {"model": "x", "language": None, "prompt": None}),
        ("language=de&transcription_model=y&model=x", {"model": "y", "language": "de", "prompt": None}),
        ("", None),
    ],
)
def test_the_url_says_model_and_language_or_nothing(query: str, transcription: Any) -> None:
    [created] = stage(query).told

    assert created["session"]["audio"]["input"]["transcription"] == transcription


@pytest.mark.parametrize(
    ("query", "complaint"),
    [("language=xx", "language must be one of de, en, got 'xx'"), ("call_id=rtc_1", "there are no calls here")],
)
def test_what_cannot_be_served_is_refused_at_the_door(query: str, complaint: str) -> None:
    with pytest.raises(HandshakeError, match=complaint):
        OpenAIRealtimeCodec(shaken(query), HOUSE)


EVENTS: list[tuple[events.Event, list[dict[str, Any]]]] = [
    (
        events.SpeechStarted(1, 1_600),
        [{"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "item_abc_1"}],
    ),
    (events.Partial(1, "perhaps", 0, 1), []),
    (
        events.Commit(1, 1, "Good", 1_600, 2_000, (word(" Good", 1_600, 2_000),)),
        [{"type": f"{T}.delta", "item_id": "item_abc_1", "content_index": 0, "delta": "Good"}],
    ),
    (events.Warned("window_full", "…"), []),
    (events.Paced(6_400), []),
    (
        events.SpeechEnded(1, 16_000, audio_end=24_000),
        [
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1_500, "item_id": "item_abc_1"},
            {"type": "input_audio_buffer.committed", "item_id": "item_abc_1", "previous_item_id": None},
            *(
                {
                    "type": f"conversation.item.{step}",
                    "previous_item_id": None,
                    "item": {
                        "id": "item_abc_1",
                        "object": "realtime.item",
                        "type": "message",
                        "status": "completed",
                        "role": "user",
                        "content": [{"type": "input_audio", "transcript": None}],
                    },
                }
                for step in ("added", "done")
            ),
        ],
    ),
    (
        events.Commit(2, 1, " day", 2_000, 3_000, (word(" day", 2_000, 3_000),)),
        [{"type": f"{T}.delta", "item_id": "item_abc_1", "content_index": 0, "delta": " day"}],
    ),
    (
        events.Final(1, "Good day", 1_600, 24_000, "en"),
        [
            {
                "type": f"{T}.completed",
                "item_id": "item_abc_1",
                "content_index": 0,
                "transcript": "Good day",
                "usage": {"type": "duration", "seconds": 1.4},
                "languages": [{"code": "en"}],
            }
        ],
    ),
    (events.Flushed("x"), []),
    (
        events.SpeechStarted(2, 32_000),
        [{"type": "input_audio_buffer.speech_started", "audio_start_ms": 2_000, "item_id": "item_abc_2"}],
    ),
    (events.Gap(32_000, 40_000, "recognition failed"), []),
    (events.Done(48_000, 2), []),
]


def test_every_event_has_its_frames() -> None:
    codec = OpenAIRealtimeCodec(shaken(), HOUSE)

    for number, (event, frames) in enumerate(EVENTS):
        told = [json.loads(message) for message in codec.encode(event)]
        assert all(frame.pop("event_id").startswith("event_abc_") for frame in told)
        assert told == frames, f"event {number}: {event}"


def test_event_ids_are_never_the_same() -> None:
    played = stage()
    played.say(*appends(pcm(SPEECH, 24_000)), COMMIT)

    ids = [message["event_id"] for message in played.told]
    assert len(set(ids)) == len(ids)


def test_server_turns_are_committed_without_being_asked() -> None:
    played = stage()
    played.say(*appends(pcm(SPEECH, 24_000)))

    turn = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *TURN, f"{T}.completed"]
    assert kinds(played) == ["session.created", *turn, *turn]
    assert transcripts(played) == ["w1 w2 w3", "w4 w5"]


@pytest.mark.parametrize("size", [160, 4_801, 1_000_000])
def test_deltas_append_to_the_transcript_of_their_item(size: int) -> None:
    played = stage()
    played.say(*appends(pcm(SPEECH, 24_000), size))

    for completed in played.of(f"{T}.completed"):
        deltas = [m["delta"] for m in played.of(f"{T}.delta") if m["item_id"] == completed["item_id"]]
        assert "".join(deltas) == completed["transcript"]


def test_each_item_names_the_one_before() -> None:
    played = stage()
    played.say(*appends(pcm(SPEECH, 24_000)))

    first, second = played.of("input_audio_buffer.committed")
    assert (first["previous_item_id"], second["previous_item_id"]) == (None, first["item_id"])


def test_without_turn_detection_only_the_client_commits() -> None:
    played = stage()
    played.say(MANUAL, *appends(pcm(SPEECH, 24_000)))
    assert transcripts(played) == []
    assert not played.of("input_audio_buffer.speech_started", "input_audio_buffer.committed")

    played.say(COMMIT)

    assert kinds(played) == ["session.created", "session.updated", *TURN, f"{T}.completed"]
    [completed] = played.of(f"{T}.completed")
    assert completed["transcript"] == "w1 w2 w3 w4 w5" == "".join(m["delta"] for m in played.of(f"{T}.delta"))
    assert completed["usage"] == {"type": "duration", "seconds": pytest.approx(len(SPEECH) / SAMPLE_RATE, abs=0.01)}


def test_a_commit_in_the_middle_of_speech_ends_the_turn_and_keeps_its_item() -> None:
    played = stage()
    played.say(*appends(pcm(sentence(1, 2)[: SAMPLE_RATE * 3 // 5], 24_000)), COMMIT)

    [started] = played.of("input_audio_buffer.speech_started")
    [committed] = played.of("input_audio_buffer.committed")
    assert started["item_id"] == committed["item_id"]
    assert not played.of("input_audio_buffer.speech_stopped")
    assert len(transcripts(played)) == 1


def test_after_a_commit_turns_end_by_themselves_again() -> None:
    played = stage()
    played.say(*appends(pcm(speak([1, 2]), 24_000)), COMMIT)
    before = len(kinds(played))
    played.say(*appends(pcm(sentence(3), 24_000)))

    turn = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *TURN, f"{T}.completed"]
    assert kinds(played)[before:] == turn
    assert transcripts(played) == ["w1 w2", "w3"]


def test_speech_too_short_to_be_noticed_belongs_to_the_commit_that_cuts_it() -> None:
    played = stage()
    blip = np.concatenate([silence(8_000), speak([7])[:900]])
    played.say(append(pcm(blip, 24_000)))
    assert played.kinds == ["session.created"]
    played.say(COMMIT, append(pcm(silence(16_000), 24_000)), COMMIT)

    first, second = played.of(f"{T}.completed")
    assert first["transcript"].startswith("cut")
    assert second["transcript"] == ""
    assert not played.of("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")


@pytest.mark.parametrize("mode", [[], [MANUAL]])
@pytest.mark.parametrize("samples", [0, 1_599])
def test_a_commit_of_nothing_is_an_error_that_names_the_clients_event(mode: list[Any], samples: int) -> None:
    played = stage()
    played.say(*mode, append(pcm(silence(samples))), update(format={"type": "audio/pcm", "rate": 16_000}), COMMIT)

    assert error(played)["code"] == "input_audio_buffer_commit_empty"
    assert error(played)["event_id"] == "mine"
    assert not played.of("input_audio_buffer.committed")


@pytest.mark.parametrize("mode", [[], [MANUAL]])
def test_what_was_committed_cannot_be_committed_again(mode: list[Any]) -> None:
    played = stage()
    played.say(*mode, *appends(pcm(sentence(1), 24_000)), COMMIT, COMMIT)

    assert error(played)["code"] == "input_audio_buffer_commit_empty"


def test_what_was_cleared_cannot_be_committed() -> None:
    played = stage()
    played.say(MANUAL, *appends(pcm(sentence(1), 24_000)), CLEAR, COMMIT)

    assert error(played)["code"] == "input_audio_buffer_commit_empty"


def test_silence_can_be_committed() -> None:
    played = stage()
    played.say(MANUAL, append(pcm(silence(4_800), 24_000)), COMMIT)

    assert transcripts(played) == [""]


def test_a_commit_and_a_clear_are_answered_in_this_order() -> None:
    played = stage()
    played.say(*appends(pcm(SPEECH, 24_000)), COMMIT, CLEAR)

    assert played.kinds[-1] == "input_audio_buffer.cleared"
    assert len(transcripts(played)) == len(played.of("input_audio_buffer.committed"))


@pytest.mark.parametrize("mode", [[], [MANUAL]])
@pytest.mark.parametrize("slow", [True, False])
def test_what_is_cleared_is_never_heard_of_again(mode: list[Any], slow: bool) -> None:
    played = Stage(OpenAIRealtimeCodec(shaken(), HOUSE), slow=slow)
    played.say(*mode, *appends(pcm(sentence(1, 2, 3)[: SAMPLE_RATE * 4 // 5], 24_000)), CLEAR)
    played.settle()
    cleared = len(played.told)
    assert played.kinds[-1] == "input_audio_buffer.cleared"

    played.say(*appends(pcm(sentence(4, 5), 24_000)), COMMIT)
    played.settle()

    dropped = {m["item_id"] for m in played.told[:cleared] if "item_id" in m}
    assert not dropped & {m.get("item_id") for m in played.told[cleared:]}
    assert "w4 w5" in transcripts(played)
    assert "1" not in "".join(transcripts(played))


def test_a_clear_leaves_what_was_committed() -> None:
    played = Stage(OpenAIRealtimeCodec(shaken(), HOUSE), slow=True)
    played.say(*appends(pcm(sentence(1, 2, 3), 24_000)), CLEAR)
    played.settle()

    assert transcripts(played) == ["w1 w2 w3"]


def test_items_are_completed_in_the_order_of_their_commits() -> None:
    played = Stage(OpenAIRealtimeCodec(shaken(), HOUSE), slow=True)
    played.say(*appends(pcm(SPEECH, 24_000)), append(pcm(silence(8_000), 24_000)), COMMIT)
    played.settle()

    committed = [m["item_id"] for m in played.of("input_audio_buffer.committed")]
    assert [m["item_id"] for m in played.of(f"{T}.completed")] == committed
    assert transcripts(played) == ["w1 w2 w3", "w4 w5", ""]


def test_a_commit_that_waits_for_the_recognizer_holds_its_own_speech_only() -> None:
    played = Stage(OpenAIRealtimeCodec(shaken(), HOUSE), slow=True)
    played.say(MANUAL)
    played.say(*appends(pcm(sentence(1, 2), 24_000)), COMMIT, *appends(pcm(sentence(3), 24_000)), COMMIT)
    played.settle()

    assert transcripts(played) == ["w1 w2", "w3"]


@pytest.mark.parametrize(
    ("form", "encode"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, lambda audio: pcm(audio, 24_000)),
        ({"type": "audio/pcm", "rate": 16_000}, lambda audio: pcm(audio, 16_000)),
        ({"type": "audio/pcm", "rate": 8_000}, lambda audio: pcm(audio, 8_000)),
        ({"type": "audio/pcm", "rate": 48_000}, lambda audio: pcm(audio, 48_000)),
        ({"type": "audio/pcmu"}, lambda audio: g711(audio, "mulaw")),
        ({"type": "audio/pcma"}, lambda audio: g711(audio, "alaw")),
    ],
)
def test_every_format_gives_the_same_words(form: dict[str, Any], encode: Any) -> None:
    played = stage()
    played.say(update(format=form), *appends(encode(SPEECH), 3_001))

    assert transcripts(played) == ["w1 w2 w3", "w4 w5"]


def test_the_format_may_change_while_the_stream_goes_on() -> None:
    played = stage()
    played.say(*appends(pcm(sentence(1, 2), 24_000)), update(format={"type": "audio/pcmu"}))
    played.say(*appends(g711(sentence(3), "mulaw")))

    assert transcripts(played) == ["w1 w2", "w3"]


def test_no_sample_is_lost_when_the_format_changes_or_speech_is_cleared() -> None:
    played = stage()
    played.say(append(bytes(48_000)), update(format={"type": "audio/pcmu"}), append(b"\xff" * 8_000), CLEAR)

    assert played.session.received == 2 * SAMPLE_RATE


def test_silence_that_ends_a_turn_can_be_changed_at_any_time() -> None:
    pause = np.concatenate([speak([1]), silence(SAMPLE_RATE * 7 // 10), speak([2]), silence(SAMPLE_RATE * 2)])
    played = stage()
    played.say(*appends(pcm(pause, 24_000)))
    played.say(update(turn_detection={"type": "semantic_vad", "eagerness": "low"}), *appends(pcm(pause, 24_000)))

    assert transcripts(played) == ["w1", "w2", "w1 w2"]


def test_a_switch_to_manual_turns_keeps_the_open_item() -> None:
    played = stage()
    data = pcm(sentence(1, 2), 24_000)
    played.say(append(data[:24_000]), MANUAL, append(data[24_000:]))
    assert not played.of("input_audio_buffer.committed")

    played.say(COMMIT)

    assert transcripts(played) == ["w1 w2"]


def test_an_update_is_answered_with_everything_that_holds() -> None:
    played = stage()
    [updated] = played.say({**update(transcription={"model": "whisper-1", "language": "en"}), "event_id": "u"})

    assert updated["type"] == "session.updated"
    given = updated["session"]["audio"]["input"]
    assert given["transcription"] == {"model": "whisper-1", "language": "en", "prompt": None}
    assert given["format"] == {"type": "audio/pcm", "rate": 24_000}


def test_a_wrong_update_changes_nothing() -> None:
    played = stage()
    wrong = update(turn_detection=None, format={"type": "audio/pcm", "rate": 1})
    played.say({**wrong, "event_id": "u"}, *appends(pcm(SPEECH, 24_000)))

    told = error(played)
    assert (told["code"], told["param"]) == ("integer_below_min_value", "session.audio.input.format.rate")
    assert (told["type"], told["event_id"]) == ("invalid_request_error", "u")
    assert transcripts(played) == ["w1 w2 w3", "w4 w5"]


def test_probabilities_are_told_to_those_who_include_them() -> None:
    played = stage()
    included = {"type": "session.update", "session": {"include": ["item.input_audio_transcription.logprobs"]}}
    played.say(included, *appends(pcm(sentence(1, 2), 24_000)))

    [completed] = played.of(f"{T}.completed")
    assert [token["token"] for token in completed["logprobs"]] == [" w1", " w2"]
    assert completed["logprobs"][0] == {
        "token": " w1",
        "logprob": pytest.approx(np.log(0.9), abs=1e-5),
        "bytes": [32, 119, 49],
    }
    assert [token for m in played.of(f"{T}.delta") for token in m["logprobs"]] == completed["logprobs"]


class Deaf(Stage):
    """A stage whose recognizer fails."""

    def settle(self) -> list[dict[str, Any]]:
        before = len(self.told)
        self.take()
        while self.session.next_request() is not None:
            self.session.receive_failure("recognition failed")
            self.take()
        return self.told[before:]

    def answer(self, hypothesis: Hypothesis) -> Hypothesis:
        raise AssertionError(hypothesis)


def test_an_item_that_could_not_be_recognised_has_failed() -> None:
    played = Deaf(OpenAIRealtimeCodec(shaken(), HOUSE))
    played.say(*appends(pcm(sentence(1), 24_000)))

    [failed] = played.of(f"{T}.failed")
    assert failed["error"]["message"] == "recognition failed"
    assert failed["item_id"] == played.of("input_audio_buffer.committed")[0]["item_id"]
    assert transcripts(played) == []


def test_an_item_that_was_recognised_in_part_is_completed_with_that_part() -> None:
    codec = OpenAIRealtimeCodec(shaken(), HOUSE)
    heard = [*(event for event, _ in EVENTS[:3]), events.Gap(2_000, 16_000, "recognition failed"), EVENTS[5][0]]
    told = [
        json.loads(m) for event in (*heard, events.Final(1, "Good", 1_600, 24_000, "en")) for m in codec.encode(event)
    ]

    assert (told[-1]["type"], told[-1]["transcript"]) == (f"{T}.completed", "Good")


def test_speech_that_has_begun_can_be_committed_however_short_it_is() -> None:
    conversation = Conversation("abc")
    list(conversation.receive(events.SpeechStarted(1, 0)))

    assert [frame["type"] for frame in conversation.commit(LEAST_AUDIO // 2)] == TURN


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("", "invalid_json", None),
        ("nonsense", "invalid_json", None),
        ("[1]", "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        ('{"type":"input_audio_buffer.append","audio":"\\ud800"}', "invalid_json", None),
        (b"\0\0", "invalid_event", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type":null}', "missing_required_parameter", "type"),
        ('{"type":7}', "invalid_value", "type"),
        ('{"type":"response.create"}', "invalid_value", "type"),
        ('{"type":"conversation.item.delete","item_id":"x"}', "invalid_value", "type"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type":"input_audio_buffer.append","audio":[1]}', "invalid_type", "audio"),
        ('{"type":"input_audio_buffer.append","audio":"!"}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append","audio":"ä"}', "invalid_value", "audio"),
        ('{"type":"session.update"}', "invalid_type", "session"),
        ('{"type":"session.update","session":{"type":"realtime"}}', "invalid_value", "session.type"),
    ],
)
def test_a_wrong_message_is_answered_and_the_session_goes_on(message: str | bytes, code: str, param: str) -> None:
    played = stage()
    played.say(message, *appends(pcm(sentence(1, 2), 24_000)))

    assert (error(played)["type"], error(played)["code"], error(played)["param"]) == (
        "invalid_request_error",
        code,
        param,
    )
    assert transcripts(played) == ["w1 w2"]


def test_the_older_shape_has_its_own_names() -> None:
    played = stage("intent=transcription", headers={"openai-beta": "realtime=v1"})
    flat = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"}}
    played.say({"type": "transcription_session.update", "session": flat})
    played.say(*appends(g711(sentence(1, 2), "mulaw")))

    turn = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    opening = ["transcription_session.created", "transcription_session.updated"]
    assert kinds(played) == [*opening, *turn, "conversation.item.created", f"{T}.completed"]
    assert played.told[1]["session"]["input_audio_format"] == "g711_ulaw"
    assert transcripts(played) == ["w1 w2"]


def test_an_older_client_without_an_intent_has_a_session_of_the_general_kind() -> None:
    assert stage("model=whisper-1", headers={"openai-beta": "realtime=v1"}).kinds == ["session.created"]


def test_an_older_client_that_does_not_say_so_is_noticed_by_its_update() -> None:
    played = stage("model=whisper-1")
    played.say({"type": "transcription_session.update", "session": {"turn_detection": None}})
    played.say(*appends(pcm(sentence(1, 2), 24_000)), COMMIT)

    assert played.kinds[:2] == ["session.created", "transcription_session.updated"]
    assert len(played.of("conversation.item.created")) == 1
    assert transcripts(played) == ["w1 w2"]


@pytest.mark.parametrize(
    ("code", "close", "said", "closing"),
    [
        (ErrorCode.BUSY, Close.TRY_LATER, "rate_limit_exceeded", (1013, "server_error.rate_limit_exceeded")),
        (ErrorCode.OVERLOADED, Close.TRY_LATER, "rate_limit_exceeded", (1013, "server_error.rate_limit_exceeded")),
        (
            ErrorCode.SHUTTING_DOWN,
            Close.RESTARTING,
            "server_shutting_down",
            (1012, "server_error.server_shutting_down"),
        ),
        (ErrorCode.IDLE_TIMEOUT, Close.NOT_ALLOWED, "session_expired", (1001, "invalid_request_error.session_expired")),
        (ErrorCode.INTERNAL, Close.OUR_FAULT, "internal_error", (1011, "server_error.internal_error")),
    ],
)
def test_the_end_of_a_session_has_a_code(code: ErrorCode, close: Close, said: str, closing: tuple[int, str]) -> None:
    codec = OpenAIRealtimeCodec(shaken(), HOUSE)
    failure = ProtocolError(code, "why", close)

    [told] = [json.loads(message) for message in codec.refuse(failure)]

    assert (told["type"], told["error"]["code"], told["error"]["message"]) == ("error", said, "why")
    assert codec.closing(close, failure) == closing
    assert codec.closing(Close.NORMAL, None) == (1000, "")


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["type", "audio", "session", "event_id", "input", "format", "rate", "transcription", "include"])
NEAR = st.recursive(JUNK, lambda inner: st.dictionaries(FIELD, inner, max_size=4), max_leaves=12)
KINDS = st.sampled_from(["session.update", "transcription_session.update", "input_audio_buffer.append", "x"])


@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.binary(max_size=30),
            st.builds(lambda kind, rest: {**rest, "type": kind}, KINDS, st.dictionaries(FIELD, NEAR, max_size=4)),
            st.sampled_from([COMMIT, CLEAR, MANUAL, append(pcm(sentence(1), 24_000)), append(b"\1")]),
        ),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_message_breaks_a_session(messages: list[Any]) -> None:
    played = stage()
    played.say(*messages)
    played.session.receive_eof()
    played.settle()

    assert played.session.done
    for message in played.told:
        assert message["type"] != "error" or message["error"]["code"]
    committed = [m["item_id"] for m in played.of("input_audio_buffer.committed")]
    assert [m["item_id"] for m in played.of(f"{T}.completed")] == committed


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.booleans(), st.integers(500, 20_000))
@settings(max_examples=20, deadline=None)
def test_the_words_depend_neither_on_pieces_nor_on_who_commits(said: list[int], manual: bool, size: int) -> None:
    audio = np.concatenate([sentence(number) for number in said])
    played = stage()
    played.say(*([MANUAL] if manual else []), *appends(pcm(audio, 24_000), size), COMMIT)

    assert " ".join(transcripts(played)).split() == [f"w{number}" for number in said]
