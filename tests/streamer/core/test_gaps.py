"""A session that is told of samples that never came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import HOP, SAMPLE_RATE
from streamer.core.events import Done, Event, Final, Flushed, Gap, SpeechEnded, SpeechStarted, Warned
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.driver import Player, commits, committed_words, cut, finals, new_session

SECOND = SAMPLE_RATE
words = st.integers(0, LEVELS - 1)
phrase = st.lists(words, min_size=1, max_size=6)
latencies = st.lists(st.integers(0, 8 * SECOND), min_size=1, max_size=6)


def heard(before: np.ndarray, missing: int, after: np.ndarray, delays=(0,), chunk: int = 1600) -> list[Event]:
    """Play audio with a gap in it."""
    session = new_session()
    player = Player(session, LevelRecognizer(), delays)
    for samples in cut(before, [chunk]):
        session.receive_audio(samples)
        player.settle()
    session.receive_gap(missing, "unplugged")
    player.settle()
    return player.play(cut(after, [chunk]))


def of(events: list[Event], *kinds: type) -> list[Event]:
    return [event for event in events if isinstance(event, kinds)]


def test_speech_that_breaks_off_is_decided_then_the_gap_is_said_and_speech_goes_on_at_its_true_time():
    before, after = np.concatenate([silence(SECOND), speak([1, 2])]), np.concatenate([speak([3]), silence(SECOND)])

    events = heard(before, 5 * SECOND, after)

    back = len(before) + 5 * SECOND
    told = of(events, SpeechStarted, SpeechEnded, Final, Gap, Done)
    assert [type(event) for event in told] == [
        *(SpeechStarted, SpeechEnded, Final),
        Gap,
        *(SpeechStarted, SpeechEnded, Final),
        Done,
    ]
    assert of(events, Gap) == [Gap(len(before), back, "unplugged")]
    assert finals(events) == ["w1 w2", "w3"]
    first, second = of(events, Final)
    assert first.end == len(before)
    assert second.start == back, "no audio from before the gap belongs to what comes after it"
    assert commits(events)[-1].words[0].start == back
    assert events[-1] == Done(len(before) + 5 * SECOND + len(after), commits(events)[-1].id)


@given(
    st.tuples(phrase, phrase), st.integers(1, 100 * SECOND), st.integers(0, SECOND), latencies, st.integers(100, SECOND)
)
@settings(max_examples=40, deadline=None)
def test_a_gap_anywhere_loses_no_word_on_either_side_and_is_told_between_them(said, missing, pause, delays, chunk):
    first, second = said
    before = np.concatenate([silence(SECOND // 3), speak(first), silence(pause)])
    after = np.concatenate([silence(pause), speak(second), silence(SECOND)])

    events = heard(before, missing, after, delays, chunk)

    assert committed_words(events) == [f"w{word}" for word in [*first, *second]]
    gap = Gap(len(before), len(before) + missing, "unplugged")
    place = events.index(gap)
    assert all(word.end <= gap.start for commit in commits(events[:place]) for word in commit.words)
    assert all(word.start >= gap.end for commit in commits(events[place:]) for word in commit.words)


def test_the_gap_waits_for_the_recognizer_so_that_events_come_in_the_order_of_the_stream():
    session = new_session()
    session.receive_audio(np.concatenate([silence(SECOND), speak([1])]))
    request = session.next_request()
    session.receive_flush("before")
    session.receive_gap(SECOND, "unplugged")

    assert not of(list(session.events()), Gap)
    while request:
        session.receive_hypothesis(LevelRecognizer().answer(request))
        request = session.next_request()
    assert [type(event) for event in session.events()][-3:] == [Final, Flushed, Gap]


def test_audio_that_breaks_off_for_an_unknown_time_is_decided_at_once_without_a_gap():
    session = new_session()
    player = Player(session, LevelRecognizer())
    session.receive_audio(np.concatenate([silence(SECOND), speak([1, 2])]))

    session.receive_gap(0, "unplugged")
    player.settle()

    assert finals(player.events) == ["w1 w2"]
    assert not of(player.events, Gap)


def test_gaps_one_after_the_other_each_have_their_own_range():
    session = new_session()
    for _ in range(3):
        session.receive_gap(SECOND, "late")
        session.receive_audio(silence(480))

    assert [(gap.start, gap.end) for gap in of(list(session.events()), Gap)] == [
        (0, SECOND),
        (SECOND + 480, 2 * SECOND + 480),
        (2 * SECOND + 960, 3 * SECOND + 960),
    ]


def test_a_gap_of_days_takes_no_memory_and_is_no_backlog():
    session = new_session()
    player = Player(session, LevelRecognizer())
    session.receive_audio(np.concatenate([silence(SECOND), speak([1])]))
    session.receive_gap(3 * 86_400 * SECOND, "unplugged")
    player.settle(ended=True)

    assert len(session._intake.window) == 0
    assert session.backlog == 0


def test_after_audio_that_was_given_up_the_window_begins_at_the_last_frame_before_its_end():
    session = new_session()
    session.receive_gap(77, "late")
    session.receive_audio(np.concatenate([silence(SECOND), speak([1, 2, 3])]))
    for _ in range(2):
        assert session.next_request() is not None
        session.receive_failure("lost")
    *_, gap = of(list(session.events()), Gap)
    request = session.next_request()

    assert request is not None
    assert request.start == gap.end - gap.end % HOP < gap.end


def test_a_negative_gap_is_refused():
    with pytest.raises(ValueError, match="at least 0 samples, got -1"):
        new_session().receive_gap(-1, "unplugged")


def test_a_gap_after_the_end_is_refused():
    session = new_session()
    session.receive_eof()

    with pytest.raises(RuntimeError, match="has ended"):
        session.receive_gap(1, "unplugged")


def test_a_warning_is_told_in_its_place():
    session = new_session()
    session.warn("microphone_lost", "unplugged")

    assert list(session.events()) == [Warned("microphone_lost", "unplugged")]
