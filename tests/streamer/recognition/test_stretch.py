"""A stream whose updates lie further apart than wanted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest
from streamer.config import SessionConfig
from streamer.core.events import Event, Paced
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.driver import Player, committed_words, cut, new_session

WANTED = SessionConfig().update_interval_ms * SAMPLE_RATE // 1000
intervals = st.sampled_from([WANTED * halves // 2 for halves in (2, 3, 4, 6, 8)])


def audio_of(words: Sequence[int]) -> np.ndarray:
    return np.concatenate([silence(SAMPLE_RATE // 3), speak(words), silence(SAMPLE_RATE)])


def play(words: Sequence[int], paces: Sequence[int], chunk: int = 1600) -> tuple[list[Event], list[DecodeRequest]]:
    """Play speech whose interval changes with every chunk."""
    recognizer, session = LevelRecognizer(), new_session()
    player = Player(session, recognizer)
    answer = recognizer.answer
    asked: list[DecodeRequest] = []

    def note(request: DecodeRequest, size: int = 1):
        asked.append(request)
        return answer(request, size)

    recognizer.answer = note  # type: ignore[method-assign]

    def chunks() -> Iterator[np.ndarray]:
        for index, samples in enumerate(cut(audio_of(words), [chunk])):
            session.stretch(paces[index % len(paces)])
            yield samples

    return player.play(chunks()), asked


@given(
    st.lists(st.integers(0, LEVELS - 1), min_size=1, max_size=20),
    st.lists(intervals, min_size=1, max_size=8),
    st.integers(160, SAMPLE_RATE),
)
@settings(max_examples=50, deadline=None)
def test_however_the_interval_changes_every_word_is_committed_once(words, paces, chunk):
    events, _ = play(words, paces, chunk)

    assert committed_words(events) == [f"w{word}" for word in words]


@given(st.lists(st.integers(0, LEVELS - 1), min_size=4, max_size=12), intervals, st.integers(160, SAMPLE_RATE))
@settings(max_examples=30, deadline=None)
def test_a_stretched_stream_is_decoded_at_the_same_places_however_the_network_cuts_it(words, interval, chunk):
    _, asked = play(words, [interval], 480)
    _, again = play(words, [interval], chunk)

    assert [request.end for request in again] == [request.end for request in asked]


def test_the_first_words_are_shown_as_soon_as_in_a_stream_that_is_not_stretched():
    firsts = {play([1, 2, 3, 4, 5, 6], [WANTED * halves // 2])[1][0].end for halves in (2, 4, 8)}

    assert len(firsts) == 1


def test_updates_lie_one_interval_apart():
    _, asked = play(list(range(12)), [2 * WANTED])
    ends = [request.end for request in asked if not request.final]

    assert len(ends) > 3
    assert {later - earlier for earlier, later in itertools.pairwise(ends)} == {2 * WANTED}


def test_where_nobody_waits_for_updates_speech_is_decoded_when_it_is_complete_or_fills_the_window():
    session, recognizer = new_session(), LevelRecognizer()
    session.cadence.patient = True
    asked: list[tuple[bool, bool]] = []
    for chunk in cut(audio_of([n % LEVELS for n in range(120)]), [1600]):
        session.receive_audio(chunk)
        if (request := session.next_request()) is not None:
            asked.append((len(request.audio) == WINDOW_SAMPLES, request.final))
            session.receive_hypothesis(recognizer.answer(request))
        assert session.backlog <= WINDOW_SAMPLES

    assert asked == [(True, False), (False, True)]


def test_the_client_is_told_when_the_interval_changes_and_only_then():
    session = new_session()
    for interval in (WANTED, 2 * WANTED, 2 * WANTED, WANTED, WANTED // 2, WANTED):
        session.stretch(interval)

    assert list(session.events()) == [Paced(2 * WANTED), Paced(WANTED)], "and never below the interval that is wanted"
