"""Whether a stream keeps up."""

from __future__ import annotations

from model.types import SAMPLE_RATE
from streamer.pace import AHEAD_S, LATE_S, Pace


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
