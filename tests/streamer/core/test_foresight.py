"""What a session says of itself before it is asked: whose turn it is, and what may be forgotten, is decided by that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE
from streamer.core.events import Done, SpeechStarted
from streamer.core.session import Session
from streamer.core.vad import FRAME_SAMPLES
from tests.fakes import LEVELS, LevelRecognizer, speak
from tests.streamer.driver import Player, commits, cut, new_session
from tests.streamer.harness import sentence

phrases = st.lists(st.lists(st.integers(0, LEVELS - 1), min_size=1, max_size=8), min_size=1, max_size=4)
chunk_sizes = st.lists(st.integers(16, 2 * SAMPLE_RATE), min_size=1, max_size=6)


def steps(session: Session, audio: np.ndarray, chunks: Sequence[int]) -> Iterator[None]:
    """Hand over a chunk at a time, then the end."""
    for samples in cut(audio, chunks):
        session.receive_audio(samples)
        yield
    session.receive_eof()
    yield


@given(phrases, chunk_sizes, st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_is_said_of_the_next_request_is_true_of_it(said, chunks, hurried):
    session, recognizer = new_session(), LevelRecognizer()
    session.cadence.hurried = hurried
    for _ in steps(session, np.concatenate([sentence(*words) for words in said]), chunks):
        while session.wants_decode:
            due, final = session.due, session.wants_final
            request = session.next_request()
            assert request is not None
            assert (request.end, request.final) == (due, final)
            assert (session.wants_decode, session.due, session.wants_final) == (False, session.received, False)
            session.receive_hypothesis(recognizer.answer(request))
        assert (session.next_request(), session.due, session.wants_final) == (None, session.received, False)


def test_an_update_is_wanted_with_the_frame_that_completes_its_audio():
    session, recognizer = new_session(), LevelRecognizer()
    for frame in cut(speak(range(8)), [FRAME_SAMPLES]):
        session.receive_audio(frame)
        if (request := session.next_request()) is not None:
            assert session.received - request.end < FRAME_SAMPLES
            session.receive_hypothesis(recognizer.answer(request))


@given(phrases, chunk_sizes, st.integers(0, 4 * SAMPLE_RATE))
@settings(max_examples=25, deadline=None)
def test_what_is_settled_only_grows_and_no_word_of_it_is_committed_later(said, chunks, delay):
    session, settled = new_session(), 0
    player = Player(session, LevelRecognizer(), [delay])
    for _ in steps(session, np.concatenate([sentence(*words) for words in said]), chunks):
        assert settled <= session.settled <= session.received
        settled, told = session.settled, len(player.events)
        player.settle()
        assert all(word.start >= settled for commit in commits(player.events[told:]) for word in commit.words)
    player.settle(ended=True)

    assert session.settled == session.received


def test_a_stream_that_goes_on_begins_and_counts_where_it_ended():
    session, ended = new_session(), 100 * SAMPLE_RATE + 77
    session.begin_at(ended, utterances=3, commits=9)
    assert (session.received, session.settled) == (ended, ended)
    events = Player(session, LevelRecognizer()).play([sentence(1, 2, 3)])

    [begun] = [event for event in events if isinstance(event, SpeechStarted)]
    assert begun.utterance == 4
    assert commits(events)[0].id == 10
    assert commits(events)[0].start >= ended
    assert isinstance(events[-1], Done)
