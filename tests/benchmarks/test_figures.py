"""Sums over streams, percentiles and intervals."""

from dataclasses import replace

import pytest

from benchmarks.conditions import CONTINUOUS, Condition
from benchmarks.figures import Spread, summarise
from benchmarks.outcome import Block, Delay, Outcome

OUTCOME = Outcome(
    condition=Condition(CONTINUOUS, None, 1800.0, 1),
    seconds=1800.0,
    blocks=tuple(Block(100, errors, 4) for errors in (0, 2, 4, 6, 8)),
    against_offline=10,
    offline_words=500,
    committed=tuple(Delay(n / 100 + 0.1, n / 100) for n in range(1, 101)),
    shown=(),
    final=(Delay(1.0, 0.8),),
    words=500,
    rewrites=0,
    erased=50,
    lost=("one at 1.0 s",),
    dropped=(),
    doubled=(),
    lateness=0.2,
    busy=90.0,
    updates=3600,
    passes=7200,
)


def test_figures_are_sums_over_streams_per_word_second_and_hour():
    found = summarise([OUTCOME, replace(OUTCOME, lost=(), rewrites=3, lateness=0.5, busy=270.0)])

    assert (found.minutes, found.spoken, found.errors, found.offline_errors) == (60, 1000, 40, 40)
    assert (found.error_rate.value, found.excess.value, found.difference) == (0.04, 0.0, 0.02)
    assert (found.lost, found.doubled, found.rewrites, found.erasure) == (1.0, 0.0, 3, 0.1)
    assert (found.updates, found.passes, found.busy, found.lateness) == (2.0, 4.0, 0.1, 0.5)


def test_delays_are_percentiles_and_none_where_there_are_none():
    found = summarise([OUTCOME])

    assert found.committed.unaware == (0.5, 0.95, 0.99)
    assert found.committed.aware == pytest.approx((0.6, 1.05, 1.09))
    assert found.shown is None
    assert found.final == Spread((1.0, 1.0, 1.0), (0.8, 0.8, 0.8))


def test_an_interval_holds_its_figure_is_the_same_each_time_and_narrows_with_more_speech():
    one, many = summarise([OUTCOME]), summarise([OUTCOME] * 16)

    assert one == summarise([OUTCOME])
    assert 0 < one.error_rate.low < one.error_rate.value < one.error_rate.high < 0.08
    assert one.excess.low < 0 < one.excess.high
    width, narrow = (found.error_rate.high - found.error_rate.low for found in (one, many))
    assert narrow == pytest.approx(width / 4, rel=0.3)


def test_a_system_that_counts_no_passes_has_no_figure_for_them():
    assert summarise([OUTCOME, replace(OUTCOME, passes=None)]).passes is None


def test_nothing_cannot_be_summed_up():
    with pytest.raises(ValueError, match="no outcomes"):
        summarise([])
