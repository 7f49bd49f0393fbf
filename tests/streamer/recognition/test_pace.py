"""Whether a stream keeps up."""

from __future__ import annotations

from model.types import SAMPLE_RATE
from streamer.recognition.pace import AHEAD_S, LATE_S, Pace


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def speak_for(pace: Pace, clock: Clock, seconds: float, chunk: float = 0.1) -> None:
    """Send in real time."""
    for count in range(1, round(seconds / chunk) + 1):
        clock.now += chunk
        pace.note_arrival(round(count * chunk * SAMPLE_RATE))


def test_a_stream_that_is_heard_in_time_is_not_overdue():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 5)

    assert not pace.is_overdue(5 * SAMPLE_RATE)
    assert not pace.is_overdue(6 * SAMPLE_RATE), "before it has come"


def test_a_stream_that_waits_too_long_is_overdue_and_is_not_once_it_is_heard():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 5)
    assert pace.is_overdue(int((5 - LATE_S - 0.2) * SAMPLE_RATE))

    assert not pace.is_overdue(5 * SAMPLE_RATE)


def test_a_chunk_that_holds_several_updates_is_not_overdue_when_it_comes():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 10, chunk=2.0)

    assert not pace.is_overdue(round(8.4 * SAMPLE_RATE))


def test_a_client_far_ahead_of_real_time_waits():
    clock = Clock()
    pace = Pace(clock)
    pace.note_arrival(SAMPLE_RATE // 10)
    pace.note_arrival(60 * SAMPLE_RATE)
    clock.now += 30

    assert not pace.is_overdue(SAMPLE_RATE)
    clock.now += 30 - AHEAD_S + 1
    assert pace.is_overdue(SAMPLE_RATE), "it is not ahead any more: the device is slower than speech"


def test_before_any_audio_nothing_is_overdue():
    assert not Pace(Clock()).is_overdue(0)


def test_a_request_is_due_when_its_last_sample_comes():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 5)

    assert abs(pace.deadline(3 * SAMPLE_RATE) - 103.0) < 1e-6
    assert abs(pace.deadline(round(3.45 * SAMPLE_RATE)) - 103.5) < 1e-6, "the chunk that holds the sample"


def test_a_client_ahead_of_real_time_is_due_when_it_would_have_spoken():
    clock = Clock()
    pace = Pace(clock)
    pace.note_arrival(SAMPLE_RATE // 10)
    pace.note_arrival(60 * SAMPLE_RATE)

    assert pace.deadline(40 * SAMPLE_RATE) == 100.0 + 40 - 0.1


def test_a_client_that_was_silent_on_the_wire_is_due_when_it_speaks_again():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 2)
    clock.now += 600
    pace.note_arrival(3 * SAMPLE_RATE)

    assert pace.deadline(3 * SAMPLE_RATE) == clock.now


def test_a_deadline_in_the_past_does_not_move():
    clock = Clock()
    pace = Pace(clock)
    speak_for(pace, clock, 5)
    first = pace.deadline(3 * SAMPLE_RATE)
    clock.now += 10
    pace.note_arrival(6 * SAMPLE_RATE)

    assert pace.deadline(3 * SAMPLE_RATE) == first


def test_before_any_audio_a_request_is_due_now():
    clock = Clock()

    assert Pace(clock).deadline(0) == clock.now
