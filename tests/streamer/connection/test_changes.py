"""What a client may change while its stream goes on: marks, wishes, and speech it wants forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from streamer.config import EndpointConfig
from streamer.core import events
from streamer.core.commands import Configure
from streamer.core.endpoint import Endpointer, Onset, adjusted
from streamer.core.vad import FRAME_SAMPLES
from streamer.core.wishes import Wishes
from tests.fakes import LevelRecognizer, silence, speak
from tests.streamer.driver import Player, cut, finals, new_session
from tests.streamer.harness import sentence


class Recorder(LevelRecognizer):
    """Keeps what it is asked."""

    def answer(self, request: DecodeRequest, size: int = 1) -> Hypothesis:
        self.requests.append(request)
        return super().answer(request, size)


TALK = np.concatenate([sentence(1, 2), sentence(3), sentence(4, 5)])


def played(
    changes: Sequence[tuple[int, str]], chunks: Sequence[int] = (1_600,), delays: Sequence[int] = (0,)
) -> tuple[list[events.Event], Recorder]:
    """Play the talk; make each change at its sample."""
    recognizer = Recorder()
    player = Player(new_session(), recognizer, delays)
    places = sorted({0, len(TALK), *(at for at, _ in changes)})
    for begin, end in zip(places, [*places[1:], None], strict=True):
        for at, change in changes:
            if at == begin:
                change_stream(player, change)
        for chunk in cut(TALK[begin:end], chunks):
            player.session.receive_audio(chunk)
            player.settle()
    player.session.receive_eof()
    player.settle(ended=True)
    return player.events, recognizer


def change_stream(player: Player, change: str) -> None:
    match change:
        case "discard":
            player.session.discard()
        case "flush":
            player.session.receive_flush("f")
        case "quick":
            player.session.reconfigure(Configure(context="quick", hangover_ms=90))
        case "german":
            player.session.reconfigure(Configure(language="de", context="german"))
        case "patient":
            player.session.reconfigure(Configure(language="de", context="patient", hangover_ms=3_000, pre_roll_ms=0))
        case _:
            player.session.receive_mark(change)
    player.settle()


def test_a_mark_stands_where_it_was_made() -> None:
    heard, _ = played([(0, "first"), (len(TALK), "last")])

    told = [event for event in heard if not isinstance(event, events.Partial)]
    assert told[0] == events.Marked("first", 0)
    assert told[-2:] == [events.Marked("last", len(TALK)), events.Done(len(TALK), told[-1].commits)]  # type: ignore[union-attr]


def test_discarded_speech_is_not_heard_of_again() -> None:
    heard, _ = played([(SAMPLE_RATE * 7 // 10, "discard")])

    assert finals(heard)[-2:] == ["w3", "w4 w5"]
    assert not any(isinstance(event, events.Final) and event.utterance == 1 for event in heard)
    assert isinstance(heard[-1], events.Done)


def test_speech_that_has_ended_is_not_discarded() -> None:
    heard, _ = played([(len(sentence(1, 2)), "discard")])

    assert finals(heard) == ["w1 w2", "w3", "w4 w5"]


def test_an_answer_that_comes_after_its_speech_was_discarded_is_dropped() -> None:
    at = SAMPLE_RATE * 7 // 10
    player = Player(new_session(), LevelRecognizer())
    player.session.receive_audio(TALK[:at])
    request = player.session.next_request()
    assert request is not None
    player.session.discard()
    assert player.session.next_request() is None
    player.session.receive_audio(TALK[at:])
    before = list(player.session.events())
    player.session.receive_hypothesis(player.recognizer.answer(request))
    assert list(player.session.events()) == []
    player.session.receive_eof()
    player.settle(ended=True)

    assert not any(isinstance(event, events.Commit) for event in before)
    assert finals(player.events) == ["w2", "w3", "w4 w5"] or finals(player.events)[-2:] == ["w3", "w4 w5"]


def test_a_failure_that_comes_after_its_speech_was_discarded_is_no_gap() -> None:
    player = Player(new_session(), LevelRecognizer())
    player.session.receive_audio(TALK[: SAMPLE_RATE * 7 // 10])
    assert player.session.next_request() is not None
    player.session.discard()
    player.session.receive_failure("recognition failed")
    player.session.receive_eof()
    player.settle(ended=True)

    assert [type(event) for event in player.events] == [events.SpeechStarted, events.Done]


def test_speech_that_sounds_like_what_was_discarded_is_shown_like_any_other() -> None:
    player = Player(new_session(), LevelRecognizer())
    for _ in range(2):
        player.session.receive_audio(np.concatenate([silence(30 * FRAME_SAMPLES), speak([1])[: 3 * FRAME_SAMPLES]]))
        player.settle()
        player.session.discard()

    first, second = (event.text for event in player.events if isinstance(event, events.Partial))
    assert first == second


def test_a_flush_before_a_discard_is_answered() -> None:
    heard, _ = played([(SAMPLE_RATE, "flush"), (SAMPLE_RATE * 3 // 2, "discard")])

    assert [event for event in heard if isinstance(event, events.Flushed)] == [events.Flushed("f")]


def test_a_wish_holds_from_the_speech_that_begins_after_it() -> None:
    _, recognizer = played([(SAMPLE_RATE * 7 // 10, "german")])

    asked = {(request.context, request.language) for request in recognizer.requests if request.start < SAMPLE_RATE}
    after = {(request.context, request.language) for request in recognizer.requests if request.start > 2 * SAMPLE_RATE}
    assert asked == {("", None), ("", "en")}, "detected, then as the utterance's committed words are"
    assert after == {("german", "de")}


def test_a_wish_changes_the_silence_that_ends_speech_at_once() -> None:
    heard, _ = played([(SAMPLE_RATE * 7 // 10, "patient")])

    assert finals(heard) == ["w1 w2 w3 w4 w5"]


CHANGES = st.lists(
    st.tuples(
        st.integers(0, len(TALK) // 800).map(lambda n: n * 800),
        st.sampled_from(["discard", "flush", "quick", "german", "patient", "mark"]),
    ),
    max_size=5,
)


def gist(heard: Sequence[events.Event]) -> list[object]:
    """Who said what where, without the partials, and without when it was decided."""
    words = {}
    for event in heard:
        if isinstance(event, events.Final):
            words[event.utterance] = event.text
    places = [event for event in heard if isinstance(event, events.Marked)]
    return [words, places, heard[-1].audio]  # type: ignore[union-attr]


@given(CHANGES, st.lists(st.integers(160, 9_000), min_size=1, max_size=4), st.lists(st.integers(0, 48_000), max_size=5))
@settings(max_examples=60, deadline=None)
def test_changes_mean_the_same_however_the_network_and_the_recognizer_are(
    changes: list[tuple[int, str]], chunks: list[int], delays: list[int]
) -> None:
    plain, _ = played(changes)
    other, _ = played(changes, chunks, [*delays, 0])

    assert gist(plain) == gist(other)
    assert sum(isinstance(event, events.Flushed) for event in other) == [c for _, c in changes].count("flush")


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(1, 40)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 160), st.sampled_from([0, 90, 600, 5_000])), max_size=4),
)
def test_a_longer_pre_roll_never_asks_for_audio_that_is_gone(
    runs: list[tuple[float, int]], changes: list[tuple[int, int]]
) -> None:
    endpointer = Endpointer(EndpointConfig())
    kept = 0
    for index, probability in enumerate(probability for probability, length in runs for _ in range(length)):
        for at, pre_roll in changes:
            if at == index:
                endpointer.configure(adjusted(EndpointConfig(), None, pre_roll))
        change = endpointer.receive_frame(probability)
        if isinstance(change, Onset):
            assert change.start >= kept
            assert change.detected == (index + 1) * FRAME_SAMPLES
        if not endpointer.speaking:
            kept = max(kept, endpointer.earliest_onset)


def test_the_newest_of_several_wishes_holds() -> None:
    wishes = Wishes()
    first, second, third = (Configure(context=name) for name in "abc")
    wishes.add(2, first)
    wishes.add(2, second)
    wishes.add(4, third)
    assert len(wishes._waiting) == 2, "a client that wishes without speaking fills no memory"

    assert [wishes.take(number) for number in (1, 2, 3, 4, 5)] == [None, second, None, third, None]


def test_none_leaves_the_daemons_times() -> None:
    config = EndpointConfig(hangover_ms=700, pre_roll_ms=100)

    assert adjusted(config, None, None) == config
    assert adjusted(config, 300, 200) == EndpointConfig(hangover_ms=300, pre_roll_ms=200)
