"""One request from its first decode to its answer: what was tried, what came of it, what is to be tried next.

The plan of attempts follows from the request, the model and the guards, and whether the next one is made from the last
one alone. So they can be made in one go or one by one, each when there is time for it, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from model.decoding.choice import best
from model.decoding.guards import Guards, Verdict
from model.decoding.hearing import Heard
from model.types import DecodeRequest, Hypothesis


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an attempt is made."""

    prompted: bool
    temperature: float
    drafted: bool = False
    full_context: bool = False
    """Whether the encoder is shown 30 s and computes all of them although it would be spared some."""


@dataclass(frozen=True, slots=True)
class Planner:
    """What a recognizer tries, in order."""

    guards: Guards
    trusts_truncation: bool
    """Whether the model was trained for less than 30 s of context, so that even a final need not have them."""

    def plan(self, request: DecodeRequest, *, spared: bool) -> tuple[Recipe, ...]:
        """Return all attempts that may be made at a request.

        spared: whether the encoder would do less than it could (`WindowEncoder.spares`).
        """
        return tuple(self._recipes(request, spared=spared))

    def _recipes(self, request: DecodeRequest, *, spared: bool) -> Iterator[Recipe]:
        """As asked, with all the context computed, without prompt, then at rising temperatures."""
        short = spared and (self.trusts_truncation or not request.final)
        if short:
            yield Recipe(prompted=True, temperature=0.0, drafted=True)
        yield Recipe(prompted=True, temperature=0.0, drafted=True, full_context=spared)
        if request.prompt or request.context:
            yield Recipe(prompted=False, temperature=0.0, full_context=spared)
        for temperature in self.guards.temperatures if request.final else self.guards.partial_temperatures:
            yield Recipe(prompted=False, temperature=temperature, full_context=spared)


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way to a hypothesis."""

    request: DecodeRequest
    plan: tuple[Recipe, ...]
    """All attempts that may be made, in order."""
    spared: bool
    """Whether in an attempt without `full_context` the encoder does less than it could."""
    heard: dict[bool, Heard] = field(default_factory=dict)
    """By whether with full context; filled as attempts ask for it."""
    attempts: list[Hypothesis] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Which attempt of the plan comes next, the last one if the plan is used up."""
        asked = self.request.attempt
        return min(len(self.attempts) if asked is None else asked, len(self.plan) - 1)

    @property
    def recipe(self) -> Recipe:
        """How the next attempt is made."""
        return self.plan[self.number]

    @property
    def shortened(self) -> bool:
        """Whether in the next attempt the encoder does less than it could."""
        return self.spared and not self.recipe.full_context

    @property
    def unheard(self) -> bool:
        """Whether the encoder has still to do what the next attempt wants of it."""
        return self.recipe.full_context not in self.heard

    @property
    def done(self) -> bool:
        """Whether an attempt is settled, or the one that was asked for is made."""
        return bool(self.attempts) and (self.request.attempt is not None or self.attempts[-1].settled)

    def settles(self, verdict: Verdict) -> bool:
        """Say whether the next attempt, if it is judged so, is the last one."""
        if verdict.trusted or self.number + 1 == len(self.plan):
            return True
        return verdict is Verdict.RETRY_GREEDILY and self.plan[self.number + 1].temperature > 0

    def answer(self) -> Hypothesis:
        """Return the best of the attempts that were made."""
        return best(self.attempts)
