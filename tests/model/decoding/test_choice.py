from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.decoding.choice import best
from model.types import DecodeStatistics, Hypothesis
from tests.model.asking import segment, word

SAID = (segment(0, 1, word(" ba", 0, 1)),)


def attempt(likely: float, **changes) -> Hypothesis:
    values = {"settled": False, "trusted": False, "final": True} | changes
    return Hypothesis(0, 16_000, SAID, "en", average_log_probability=likely, **values)


@pytest.mark.parametrize(
    ("attempts", "chosen"),
    [
        ([attempt(-0.5)], 0),
        ([attempt(-0.1), attempt(-2.0, trusted=True, settled=True)], 1),
        ([attempt(-0.1, loops=True), attempt(-1.5)], 1),
        ([attempt(-1.5), attempt(-1.2), attempt(-1.9, settled=True)], 1),
        ([attempt(-1.0), attempt(-1.0, settled=True)], 0),
        ([attempt(-0.1, loops=True), attempt(-0.4, loops=True, settled=True)], 0),
    ],
)
def test_trust_goes_before_loops_and_loops_before_probability(attempts, chosen):
    found = best(attempts)
    assert found.average_log_probability == attempts[chosen].average_log_probability
    assert (found.trusted, found.loops) == (attempts[chosen].trusted, attempts[chosen].loops)
    assert found.segments == SAID


@pytest.mark.parametrize(("final", "shown"), [(False, ()), (True, SAID)])
def test_the_words_of_a_loop_are_withheld_until_a_final_has_to_be_given(final, shown):
    assert best([attempt(-0.1, loops=True, final=final), attempt(-0.2, loops=True, final=final)]).segments == shown


def test_the_cost_is_that_of_all_attempts():
    costs = [DecodeStatistics(5, 4, 2, 7, 128, 90, 3), DecodeStatistics(6, 0, 0, 9, 1500, 1500, 1), DecodeStatistics(1)]
    attempts = [attempt(-1.0 - i, statistics=cost) for i, cost in enumerate(costs)]
    assert best(attempts).statistics == DecodeStatistics(12, 4, 2, 7, 128, 1590, 3, fallbacks=2)


def test_it_is_settled_once_one_attempt_is():
    attempts = [attempt(-1.0), attempt(-2.0)]
    assert not best(attempts).settled
    assert best([*attempts, attempt(-3.0, settled=True)]).settled


@given(st.lists(st.builds(attempt, st.sampled_from([-0.1, -1.0, -2.0]), loops=st.booleans(), trusted=st.booleans(),
                          final=st.just(False)), min_size=1, max_size=6), st.integers(1, 6))  # fmt: skip
def test_choosing_twice_chooses_the_same(attempts, at):
    """An engine that chooses among choices gets what a choice among all would be."""
    front, back = attempts[:at], attempts[at:]
    assert best([best(front), *back]) == best(attempts)


def test_attempts_at_different_requests_are_refused():
    with pytest.raises(ValueError, match="one request"):
        best([])
    with pytest.raises(ValueError, match="one request"):
        best([attempt(-1), replace(attempt(-1), end=8000)])
