"""The ladder of update intervals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.recognition.interval import (
    CALM_PERIODS,
    LATE,
    LATE_PERIODS,
    MOST_CALM_PERIODS,
    SETTLING_PERIODS,
    IntervalLadder,
    Period,
    rungs,
)

RUNGS = (0.4, 0.6, 0.8, 1.2, 1.6)


def play(ladder: IntervalLadder, periods: Iterable[Period]) -> list[float]:
    """Return the interval after each period."""
    taken = []
    for period in periods:
        ladder.observe(period)
        taken.append(ladder.interval)
    return taken


def loaded(ladder: IntervalLadder, work: float, periods: int) -> list[float]:
    """Play a device that needs `work` seconds for one update of every stream."""
    taken = []
    for _ in range(periods):
        busy = min(work / ladder.interval, 1.0)
        late = work / ladder.interval > 0.95
        taken += play(ladder, [Period(2 * ladder.interval if late else 0.2 * ladder.interval, busy)])
    return taken


def test_the_rungs_lie_on_the_grid_of_half_an_interval():
    assert rungs(400, 1600) == (400, 600, 800, 1200, 1600)
    assert all(step % 200 == 0 for step in rungs(400, 20_000))


@pytest.mark.parametrize("widest", [100, 400, 599])
def test_the_wanted_interval_is_always_a_rung(widest):
    assert rungs(400, widest) == (400,)


def test_an_unloaded_device_updates_as_often_as_wanted():
    assert set(play(IntervalLadder(RUNGS), [Period(0.1, 0.6)] * 100)) == {0.4}


def test_a_single_hiccup_stretches_nothing():
    periods = [Period(5.0, 1.0), Period(0.1, 0.5)] * 20

    assert set(play(IntervalLadder(RUNGS), periods)) == {0.4}


def test_late_answers_climb_one_rung_at_a_time_when_they_are_a_little_late():
    ladder = IntervalLadder(RUNGS)
    taken = play(ladder, [Period(0.4, 1.0)] * LATE_PERIODS)

    assert taken[-1] == 0.6
    assert set(taken[:-1]) <= {0.4}


@pytest.mark.parametrize("wait", [0.5, 30.0])
def test_very_late_answers_climb_at_once_to_where_they_would_not_be_late_and_at_most_to_twice_the_interval(wait):
    ladder = IntervalLadder(RUNGS)

    assert play(ladder, [Period(wait, 1.0)] * LATE_PERIODS)[-1] == 0.8


@pytest.mark.parametrize("first", [0.4, 30.0])
def test_answers_that_stay_late_end_on_the_widest_interval_and_nowhere_else(first):
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(first, 1.0)] * LATE_PERIODS)
    taken = play(ladder, [Period(30.0, 1.0)] * 50)

    assert taken[-1] == RUNGS[-1]
    assert ladder.exhausted


def test_a_widest_interval_that_suffices_is_not_exhausted():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(30.0, 1.0)] * 50)
    play(ladder, [Period(LATE * RUNGS[-1] * 0.9, 0.95)])

    assert not ladder.exhausted


def test_what_is_measured_just_after_a_move_does_not_count():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(0.4, 1.0)] * LATE_PERIODS)

    taken = play(ladder, [Period(30.0, 1.0)] * (SETTLING_PERIODS + LATE_PERIODS))
    assert set(taken[:-1]) == {0.6}
    assert taken[-1] > 0.6


def test_calm_descends_one_rung_at_a_time_to_the_wanted_interval():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(30.0, 1.0)] * 50)
    taken = play(ladder, [Period(0.05, 0.1)] * 200)

    assert list(dict.fromkeys(taken)) == [1.6, 1.2, 0.8, 0.6, 0.4]
    assert taken.index(1.2) >= CALM_PERIODS - 1, (
        "what was missing was taken at once, what is gained is given back slowly"
    )


def test_without_answers_nothing_is_known_and_nothing_moves():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(0.4, 1.0)] * LATE_PERIODS)

    assert set(play(ladder, [Period(None, 0.0)] * 1000)) == {0.6}


def test_a_batch_longer_than_a_period_hides_no_lateness():
    ladder = IntervalLadder(RUNGS)

    assert play(ladder, [Period(None, 0.0), Period(3.0, 1.0)] * LATE_PERIODS)[-1] > 0.4


def test_a_device_that_would_be_overloaded_by_the_next_smaller_interval_stays_where_it_is():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(30.0, 1.0)] * LATE_PERIODS)
    assert ladder.interval == 0.8

    assert set(play(ladder, [Period(0.1, 0.95)] * 300)) == {0.8}


def test_answers_that_would_come_late_at_the_next_smaller_interval_allow_no_descent_however_idle_the_device():
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(30.0, 1.0)] * LATE_PERIODS)

    assert set(play(ladder, [Period(0.9 * LATE * 0.8, 0.2)] * 300)) == {0.8}


def test_a_load_between_two_rungs_does_not_swing():
    ladder = IntervalLadder(RUNGS)
    taken = loaded(ladder, 0.6, 2000)
    moves = [index for index in range(1, len(taken)) if taken[index] != taken[index - 1]]
    pauses = [later - earlier for earlier, later in itertools.pairwise(moves)]

    assert set(taken[20:]) <= {0.6, 0.8}
    assert max(pauses) >= MOST_CALM_PERIODS, "a descent that is taken back is tried again later and later"
    assert taken[1000:].count(0.6) < 0.1 * 1000


def test_after_the_wanted_interval_was_kept_up_a_few_times_a_descent_is_tried_as_soon_as_at_first():
    ladder = IntervalLadder(RUNGS)
    loaded(ladder, 0.6, 2000)
    for _ in range(6):
        play(ladder, [*[Period(30.0, 1.0)] * (LATE_PERIODS + SETTLING_PERIODS), *[Period(0.05, 0.1)] * 100])
        assert ladder.interval == 0.4
    play(ladder, [Period(0.4, 1.0)] * LATE_PERIODS)
    taken = play(ladder, [Period(0.05, 0.4 / 0.6)] * (SETTLING_PERIODS + CALM_PERIODS))

    assert (taken[0], taken[-1]) == (0.6, 0.4)


@pytest.mark.parametrize("work", [0.1, 0.3, 0.45, 0.7, 1.0, 1.4, 5.0])
@pytest.mark.parametrize("start", [0, 50])
def test_the_smallest_interval_that_suffices_is_found_from_both_sides(work, start):
    ladder = IntervalLadder(RUNGS)
    play(ladder, [Period(30.0, 1.0)] * start)
    taken = loaded(ladder, work, 600)
    best = next((rung for rung in RUNGS if work / rung <= 0.95), RUNGS[-1])

    assert max(set(taken[300:]), key=taken[300:].count) == best


@given(
    st.lists(
        st.builds(
            Period, st.none() | st.floats(0.0, 60.0, allow_subnormal=False), st.floats(0.0, 1.0, allow_subnormal=False)
        ),
        max_size=200,
    )
)
def test_whatever_is_measured_the_interval_is_a_rung_and_never_descends_by_more_than_one(periods):
    steps: Callable[[float], int] = RUNGS.index
    taken = [0.4, *play(IntervalLadder(RUNGS), periods)]

    assert all(steps(later) - steps(earlier) >= -1 for earlier, later in itertools.pairwise(taken))
