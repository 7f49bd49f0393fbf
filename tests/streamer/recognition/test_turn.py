"""A session in line for the device."""

from __future__ import annotations

import numpy as np

from model.types import SAMPLE_RATE
from streamer.config import SessionConfig
from streamer.recognition.pace import LATE_S, Pace
from streamer.recognition.turn import Turn
from tests.fakes import LevelRecognizer, silence, speak
from tests.streamer.driver import new_session

INTERVAL = SessionConfig().update_interval_ms * SAMPLE_RATE // 1000
CHUNK = SAMPLE_RATE // 10


class Stream:
    """A session that has heard some seconds of speech, in real time, and its turn."""

    def __init__(self, seconds: float) -> None:
        self.now = 100.0
        self.session = new_session()
        self.pace = Pace(lambda: self.now)
        self.turn = Turn(self.session, self.pace)
        audio = np.concatenate([silence(SAMPLE_RATE // 2), speak(range(30))])
        for start in range(0, round(seconds * SAMPLE_RATE), CHUNK):
            self.session.receive_audio(audio[start : start + CHUNK])
            self.now += 0.1
            self.pace.note_arrival(self.session.received)


def test_a_stream_that_is_heard_in_time_asks_for_the_next_update_on_its_grid():
    stream = Stream(0.9)
    due = stream.session.due
    request = stream.turn.next_request()

    assert request is not None
    assert request.end == due


def test_a_stream_that_is_late_when_its_turn_comes_asks_up_to_the_end_of_its_audio():
    stream = Stream(4.0)
    request = stream.turn.next_request()

    assert request is not None
    assert stream.session.received - request.end < CHUNK


def test_lateness_is_judged_when_the_turn_comes_and_not_before():
    stream = Stream(0.9)
    waiting = stream.turn.deadline
    stream.now = waiting + LATE_S + 0.01
    stream.session.receive_audio(speak([1, 2, 3]))
    stream.pace.note_arrival(stream.session.received)
    request = stream.turn.next_request()

    assert request is not None
    assert stream.session.received - request.end < CHUNK


def test_a_stream_that_was_late_once_is_on_its_grid_again():
    stream = Stream(4.0)
    request = stream.turn.next_request()
    assert request is not None

    assert not stream.session.cadence.hurried, "what is due next does not depend on what was left out"


def test_who_waits_keeps_the_deadline_however_much_audio_comes_meanwhile():
    stream = Stream(0.9)
    before = stream.turn.deadline
    stream.session.receive_audio(speak([1, 2]))
    stream.now += 0.6
    stream.pace.note_arrival(stream.session.received)

    assert stream.turn.deadline == before


def test_whether_a_request_will_complete_an_utterance_is_known_before_it_is_made():
    stream = Stream(0.9)
    stream.session.receive_eof()
    expected, asked = [], []
    while stream.session.wants_decode:
        expected.append(stream.turn.wants_final)
        request = stream.turn.next_request()
        assert request is not None
        asked.append(request.final)
        stream.session.receive_hypothesis(LevelRecognizer().answer(request))

    assert expected == asked
    assert set(asked) == {False, True}
