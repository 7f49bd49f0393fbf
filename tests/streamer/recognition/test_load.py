"""What the streams take of the device, and whether there is room for one more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import Hypothesis
from streamer.recognition.batch import Batch
from streamer.recognition.capacity import FEW, Outlook, expected, has_room
from streamer.recognition.lanes import Lane
from streamer.recognition.load import WINDOW_S, Load, LoadMeter, percentile
from streamer.recognition.stream_cost import LEARNING_S, RISING_S, Price, StreamCost

ANSWER = Hypothesis(0, 16_000, (), "en")


def batch(seconds: float, waits: tuple[float, ...] = (0.1,), due: float = 1.0, lane: Lane = Lane.FAST) -> Batch:
    return Batch(lane, (ANSWER,), seconds, waits, due)


def measured(until: int, busy: float, sessions: int = 4, loop: float = 0.1) -> LoadMeter:
    """Measure a steady load, second by second."""
    meter = LoadMeter()
    meter.tick(0.0, sessions, 0.0)
    for second in range(1, until + 1):
        meter.add(second - 0.5, batch(busy))
        meter.tick(float(second), sessions, loop * second)
    return meter


def test_before_anything_is_measured_there_is_no_load():
    assert LoadMeter().read() == Load(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("seconds", [3, 10, 1000])
def test_the_load_is_the_share_of_time_the_device_and_the_loop_worked(seconds):
    load = measured(seconds, 0.7).read()

    assert load.busy == pytest.approx(0.7)
    assert load.loop == pytest.approx(0.1)
    assert load.sessions == 4
    assert load.seconds == pytest.approx(min(seconds, WINDOW_S))


def test_the_first_and_the_last_decode_of_an_utterance_do_not_become_rarer_with_the_interval():
    meter = LoadMeter()
    meter.tick(0.0, 1, 0.0)
    last = replace(ANSWER, final=True)
    meter.add(0.5, Batch(Lane.FAST, (last, ANSWER, ANSWER, ANSWER), 0.4, (0.1,) * 4, 1.0))
    meter.add(0.9, Batch(Lane.SLOW, (last, ANSWER), 0.8, (0.1,) * 2, 1.0))
    meter.tick(2.0, 1, 0.0)
    load = meter.read()

    assert load.busy == pytest.approx(0.6)
    assert load.fixed == pytest.approx((2 / 4 * 0.4 + 1 / 2 * 0.8) / 2)
    assert load.at(1.0) == pytest.approx(0.6)
    assert load.at(3.0) == pytest.approx(0.3 + 0.1)


def test_what_is_decoded_at_any_interval_is_never_more_than_what_is_decoded():
    meter = LoadMeter()
    meter.tick(0.0, 1, 0.0)
    meter.add(0.5, Batch(Lane.FAST, (replace(ANSWER, final=True),), 0.2, (0.1,), 1.0))
    meter.add(0.9, batch(0.3))
    meter.tick(1.0, 1, 0.0)

    assert (meter.read().busy, meter.read().fixed) == (pytest.approx(0.5), pytest.approx(0.2))


def test_a_batch_longer_than_the_window_keeps_the_device_busy_all_of_the_time_and_no_longer():
    meter = LoadMeter()
    meter.tick(0.0, 1, 0.0)
    meter.add(1.0, batch(3 * WINDOW_S))
    meter.tick(WINDOW_S, 1, 0.0)

    assert meter.read().busy == 1.0


def test_streams_of_short_utterances_leave_less_room_than_those_of_long_ones():
    long = replace(CROWDED, load=Load(0.98, 0.2, 40.0, 10.0, fixed=0.2), stretch=4.0)
    short = replace(CROWDED, load=Load(0.98, 0.2, 40.0, 10.0, fixed=0.9), stretch=4.0)

    assert has_room(long, 0.9)
    assert not has_room(short, 0.9)


def test_a_load_that_has_ended_is_forgotten():
    meter = measured(20, 0.9)
    for second in range(21, 40):
        meter.tick(float(second), 4, 2.0)

    assert meter.read().busy == 0
    assert meter.read().loop == 0


def test_what_was_not_due_is_no_load():
    meter = LoadMeter()
    meter.tick(0.0, 1, 0.0)
    meter.add(5.0, batch(4.0, due=0.25))
    meter.tick(10.0, 1, 0.0)

    assert meter.read().busy == pytest.approx(0.1)


@pytest.mark.parametrize(("speed", "share"), [(0.0, 0.6), (0.5, 0.6), (1.0, 0.6), (3.0, 0.2), (30.0, 0.02)])
def test_audio_that_comes_faster_than_it_is_spoken_takes_only_what_is_left_of_the_event_loop(speed, share):
    meter = LoadMeter()
    for second in range(30):
        meter.tick(float(second), 4, 0.6 * second, 4 * speed * second)

    assert meter.read().loop == pytest.approx(share)


def test_the_wait_is_that_of_nine_answers_in_ten_and_of_first_attempts_only():
    meter = LoadMeter()
    meter.add(0.0, batch(1.0, tuple(n / 100 for n in range(100))))
    meter.add(0.0, batch(1.0, (60.0,) * 100, lane=Lane.SLOW))

    assert meter.take_wait() == pytest.approx(0.9)
    assert meter.take_wait() is None, "each answer counts once"


def test_files_that_are_answered_before_they_are_due_hide_no_wait():
    meter = LoadMeter()
    meter.add(0.0, batch(1.0, (*(-5.0,) * 100, 2.0)))

    assert meter.take_wait() == 2.0


def test_memory_is_bounded_by_the_window():
    meter = measured(5000, 0.5)

    assert len(meter._ticks) <= WINDOW_S + 2
    assert len(meter._batches) <= WINDOW_S + 2


@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_one_of_the_values_and_not_exceeded_by_that_share(values, share):
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


FREE = Price()
CROWDED = Outlook(sessions=40, load=Load(0.8, 0.2, 40.0, 10.0), stretch=1.0, late=False, price=Price(0.02, 0.005))


def test_a_stream_is_let_in_as_long_as_it_fits_at_the_widest_interval():
    assert expected(CROWDED) == pytest.approx(0.82)
    assert has_room(CROWDED, 0.9)
    assert not has_room(replace(CROWDED, load=Load(0.9, 0.2, 40.0, 10.0)), 0.9)
    assert has_room(replace(CROWDED, load=Load(0.98, 0.2, 40.0, 10.0), stretch=2.0), 0.9), "updates can be stretched"


def test_a_crowd_is_not_let_in_on_a_measurement_made_before_it_came():
    few = Outlook(sessions=4, load=Load(0.4, 0.05, 4.0, 10.0), stretch=4.0, late=False, price=Price(0.025, 0.0125))

    assert has_room(few, 0.9)
    assert not has_room(replace(few, sessions=40), 0.9)


def test_a_crowd_that_comes_to_an_idle_daemon_is_counted_at_the_price_it_learnt():
    idle = Outlook(sessions=0, load=Load(0.0, 0.0, 0.0, 10.0), stretch=4.0, late=False, price=Price(0.018, 0.002))

    assert has_room(replace(idle, sessions=48), 0.9)
    assert not has_room(replace(idle, sessions=50), 0.9)


def test_an_event_loop_without_time_lets_nobody_in_however_idle_the_device():
    assert not has_room(replace(CROWDED, load=Load(0.1, 0.95, 40.0, 10.0), stretch=4.0), 0.9)


def test_nobody_is_let_in_while_answers_are_late_at_the_widest_interval():
    assert not has_room(replace(CROWDED, load=Load(0.3, 0.1, 40.0, 10.0), late=True), 0.9)


def test_nobody_is_refused_before_anything_is_known():
    assert has_room(Outlook(sessions=40, load=Load(0.0, 0.0, 0.0, 0.0), stretch=1.0, late=False, price=FREE), 0.9)


def test_streams_that_come_together_must_all_fit():
    nearly = replace(CROWDED, load=Load(0.86, 0.2, 40.0, 10.0))

    assert expected(nearly, 4) == pytest.approx(0.86 + 4 * 0.02)
    assert has_room(nearly, 0.9, 2)
    assert not has_room(nearly, 0.9, 3)


def test_more_than_a_few_that_come_together_are_not_a_few():
    hopeless = Outlook(0, Load(1.0, 1.0, 1.0, 10.0), stretch=1.0, late=True, price=Price(1.0, 1.0))

    assert has_room(hopeless, 0.9, FEW)
    assert not has_room(hopeless, 0.9, FEW + 1)


def test_a_few_streams_are_let_in_whatever_is_measured():
    hopeless = Outlook(FEW - 1, Load(1.0, 1.0, 1.0, 10.0), stretch=1.0, late=True, price=Price(1.0, 1.0))

    assert has_room(hopeless, 0.9)
    assert not has_room(replace(hopeless, sessions=FEW), 0.9)


def test_streams_that_are_silent_take_no_room():
    assert has_room(Outlook(500, Load(0.01, 0.3, 500.0, 10.0), stretch=4.0, late=False, price=FREE), 0.9)


def test_the_price_of_a_stream_is_that_of_an_update_until_streams_are_measured():
    cost = StreamCost()
    cost.estimate(0.08, widest=1.6)

    assert cost.price == Price(pytest.approx(0.05), 0.0)


def test_the_price_follows_the_load_slowly_and_counts_updates_at_the_widest_interval():
    cost = StreamCost()
    for _ in range(round(10 * LEARNING_S)):
        cost.learn(1.0, Load(0.8, 0.1, 20.0, 10.0), stretch=4.0)
    assert (cost.price.device, cost.price.loop) == (pytest.approx(0.01, rel=1e-3), pytest.approx(0.005, rel=1e-3))

    cost.learn(1.0, Load(0.0, 0.0, 20.0, 10.0), stretch=4.0)
    assert cost.price.device > 0.0095


def test_a_price_that_was_too_low_is_corrected_sooner_than_one_that_was_too_high():
    cost = StreamCost()
    cost.learn(2 * RISING_S, Load(0.8, 0.1, 20.0, 10.0, fixed=0.4), stretch=4.0)

    assert cost.price.device == pytest.approx((0.4 + 0.1) / 20, rel=0.2)


def test_the_price_is_learnt_by_the_second_however_many_times_it_is_looked_at():
    often, seldom = StreamCost(), StreamCost()
    for _ in range(20):
        often.learn(0.5, Load(0.8, 0.1, 20.0, 10.0), stretch=1.0)
    seldom.learn(10.0, Load(0.8, 0.1, 20.0, 10.0), stretch=1.0)

    assert often.price.device == pytest.approx(seldom.price.device)


def test_nothing_is_learnt_from_an_idle_daemon():
    cost = StreamCost()
    cost.estimate(0.08, widest=1.6)
    before = cost.price
    cost.learn(3600.0, Load(0.0, 0.0, 1.0, 10.0), stretch=4.0)

    assert cost.price == before
