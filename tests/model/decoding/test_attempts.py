"""What is tried for a request, and in which context."""

from __future__ import annotations

import pytest

from model.decoding.attempts import Job, Planner
from model.decoding.guards import Guards
from tests.model.asking import request

GUARDS = Guards(temperatures=(0.4, 0.8), partial_temperatures=(0.6,))


def contexts(*, spared: bool, trained: bool, **wishes: object) -> list[tuple[bool, float]]:
    """Return of each attempt that may be made whether it has less than 30 s of context, and its temperature."""
    asked = request(1.0, **wishes)
    plan = Planner(GUARDS, trusts_truncation=trained).plan(asked, spared=spared)
    jobs = [Job(asked, (recipe,), spared) for recipe in plan]
    return [(job.shortened, job.recipe.temperature) for job in jobs]


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_only_the_first_attempt_is_short_of_context_and_a_final_one_only_of_a_model_trained_for_it(
    *, final: bool, trained: bool
) -> None:
    drawn = [(False, temperature) for temperature in (GUARDS.temperatures if final else GUARDS.partial_temperatures)]
    whole = [(False, 0.0), *drawn]

    assert contexts(spared=False, trained=trained, final=final) == whole
    short = [(True, 0.0)] if trained or not final else []
    assert contexts(spared=True, trained=trained, final=final) == [*short, *whole]


def test_what_was_said_before_is_left_out_before_anything_is_drawn() -> None:
    assert contexts(spared=True, trained=True, final=False, context="Names: Boro") == [
        (True, 0.0),
        (False, 0.0),
        (False, 0.0),
        (False, 0.6),
    ]
