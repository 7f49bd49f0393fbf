"""What is done about load."""

from __future__ import annotations

import pytest

from model.types import SAMPLE_RATE, Hypothesis
from streamer.config import SessionConfig
from streamer.recognition.batch import Batch
from streamer.recognition.governor import Governor
from streamer.recognition.lanes import Lane
from streamer.recognition.load import OPENING_S

ANSWER = Hypothesis(0, 16_000, (), "en")


class World:
    """A governor and the clocks it reads."""

    def __init__(self, *, max_load: float = 0.9, sessions: int = 8, config: SessionConfig | None = None) -> None:
        self.now = 1000.0
        self.loop = self.taken_in = 0.0
        self.sessions = sessions
        self.owing = False
        self.governor = Governor(
            config or SessionConfig(),
            max_load=max_load,
            sessions=lambda: self.sessions,
            owing=lambda: self.owing,
            clock=lambda: self.now,
            loop_clock=lambda: self.loop,
            taken_in=lambda: self.taken_in,
        )

    def work(self, seconds: int, wait: float, busy: float = 0.95, batches: int = 10) -> None:
        """Let time go by under load."""
        for _ in range(seconds * batches):
            self.now += 1 / batches
            self.governor.batch_done(Batch(Lane.FAST, (ANSWER,), busy / batches, (wait,), 1.0))


def test_an_unloaded_governor_updates_as_often_as_wanted_and_has_room():
    world = World()
    world.work(60, wait=0.05, busy=0.2)

    assert world.governor.interval == SAMPLE_RATE * 400 // 1000
    assert world.governor.has_room_for(1)


def test_late_answers_stretch_the_interval_and_let_batches_take_longer():
    world = World()
    short = world.governor.batch_seconds
    assert 0.0 < short < 0.4
    world.work(30, wait=3.0)

    assert world.governor.interval == SAMPLE_RATE * 1600 // 1000
    assert world.governor.batch_seconds == pytest.approx(4 * short)


def test_answers_that_stay_late_close_the_door_and_answers_in_time_open_it():
    world = World()
    world.work(30, wait=3.0)
    assert not world.governor.has_room_for(1)

    world.work(15, wait=0.1, busy=0.3)
    assert world.governor.has_room_for(1)


def test_a_burst_of_a_second_refuses_nobody():
    world = World()
    world.work(20, wait=0.1, busy=0.3)
    world.work(1, wait=5.0, busy=1.0)

    assert world.governor.has_room_for(1)
    assert world.governor.interval == SAMPLE_RATE * 400 // 1000


def test_without_a_bound_nobody_is_refused_for_load():
    world = World(max_load=0.0)
    world.work(60, wait=30.0)

    assert world.governor.has_room_for(1)


def test_a_daemon_that_nobody_uses_forgets_the_load_of_yesterday():
    world = World()
    world.work(30, wait=3.0)
    world.sessions = 0
    world.now += 24 * 3600

    assert world.governor.interval == SAMPLE_RATE * 400 // 1000
    assert world.governor.has_room_for(1)


def test_a_crowd_at_an_idle_door_is_let_in_up_to_what_yesterdays_streams_cost():
    world = World(sessions=8)
    world.work(120, wait=0.1, busy=0.8)  # at the narrowest interval: a quarter of that at the widest, 0.025 a stream
    world.sessions = 0
    world.now += 3600
    assert world.governor.has_room_for(1)

    world.sessions = 34
    assert world.governor.has_room_for(1)
    world.sessions = 38
    assert not world.governor.has_room_for(1)


def test_a_pause_of_seconds_in_which_nobody_speaks_makes_no_stream_cheap():
    world = World(sessions=8)
    world.work(120, wait=0.1, busy=0.8)
    for _ in range(12):
        world.now += 1
        assert world.governor.has_room_for(1)

    world.sessions = 60
    assert not world.governor.has_room_for(1)


def test_before_the_first_stream_the_price_of_one_is_that_of_an_update():
    world = World(sessions=0)
    world.governor.calibrate(0.16)

    world.sessions = 8
    assert world.governor.has_room_for(1)
    world.sessions = 9
    assert not world.governor.has_room_for(1)


def test_streams_that_come_together_are_let_in_together_or_not_at_all():
    world = World(sessions=0)
    world.governor.calibrate(0.16)  # 0.1 of the time at the widest interval

    world.sessions = 6
    assert world.governor.has_room_for(3)
    assert not world.governor.has_room_for(4)


def test_lateness_is_no_evidence_any_more_once_nobody_waits_for_anything():
    world = World()
    world.work(40, wait=3.0)
    assert not world.governor.has_room_for(1)

    world.now += 5
    assert world.governor.has_room_for(1), "the streams are open still, and silent"


def test_streams_that_were_silent_for_a_while_are_updated_as_often_as_wanted_again():
    world = World()
    world.work(30, wait=3.0)
    world.now += 5
    assert world.governor.interval == SAMPLE_RATE * 1600 // 1000, "a pause is no reason"

    world.now += 60
    assert world.governor.interval == SAMPLE_RATE * 400 // 1000


def test_a_device_that_has_not_answered_for_a_minute_is_not_taken_for_an_idle_one():
    world = World()
    world.work(40, wait=3.0)
    world.owing = True
    world.now += 60

    assert not world.governor.has_room_for(1)
    assert world.governor.interval == SAMPLE_RATE * 1600 // 1000


def test_an_event_loop_that_has_no_time_closes_the_door():
    world = World()
    for _ in range(20):
        world.loop += 0.95
        world.work(1, wait=0.05, busy=0.1)

    assert not world.governor.has_room_for(1)
    assert world.governor.expected_load > 0.9


def test_who_sends_a_recording_as_fast_as_it_is_taken_closes_no_door():
    world = World(sessions=2)
    for _ in range(20):
        world.loop += 0.95
        world.taken_in += 50
        world.work(1, wait=0.05, busy=0.1)
    world.sessions = 30

    assert world.governor.has_room_for(1)


def test_clients_that_come_and_go_close_no_door_and_make_no_stream_dear():
    world = World(sessions=4)
    world.work(60, wait=0.05, busy=0.1)
    usual = world.governor.expected_load
    for _ in range(20):
        world.loop += 0.9
        world.taken_in += 400 * OPENING_S
        world.work(1, wait=0.05, busy=0.1)

    assert world.governor.has_room_for(20)
    assert world.governor.expected_load < usual + 0.1


def test_a_wanted_interval_beyond_the_widest_is_kept():
    world = World(config=SessionConfig(update_interval_ms=3000))
    world.work(60, wait=30.0)

    assert world.governor.interval == 3 * SAMPLE_RATE
