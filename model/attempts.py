"""One request from its first decode to its answer: what was tried, what came of it, what is to be tried next."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.guards import Guards, Verdict
from model.rows import Decoded
from model.types import DecodeRequest, DecodeStatistics, Hypothesis, Segment

SETTLED = frozenset({Verdict.TAKE, Verdict.SILENCE})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an attempt is made; those of one recipe share a batch."""

    prompted: bool
    temperature: float
    drafted: bool = False


FIRST = Recipe(prompted=True, temperature=0.0, drafted=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One decode, judged."""

    decoded: Decoded
    segments: tuple[Segment, ...]
    ratio: float
    """Of text to its compressed size."""
    verdict: Verdict
    loops: bool
    """Whether it has more repeated words than its audio could hold."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Orders attempts, the best one last."""
        return self.verdict in SETTLED, not self.loops, self.decoded.average_log_probability


@dataclass(slots=True)
class Job:
    """A request on its way to a hypothesis."""

    request: DecodeRequest
    language: str
    plan: list[Recipe]
    """Attempts that may still be made, in order."""
    attempts: list[Attempt] = field(default_factory=list)

    @classmethod
    def start(cls, request: DecodeRequest, language: str, guards: Guards) -> Job:
        """Plan a request's attempts: as asked, without prompt, then at rising temperatures."""
        unprompted = [Recipe(prompted=False, temperature=0.0)] if request.prompt or request.context else []
        temperatures = guards.temperatures if request.final else guards.partial_temperatures
        drawn = [Recipe(prompted=False, temperature=temperature) for temperature in temperatures]
        return cls(request, language, [FIRST, *unprompted, *drawn])

    @property
    def next_recipe(self) -> Recipe | None:
        """How to try next; None once an attempt is taken or the plan is used up."""
        if not self.plan or any(attempt.verdict in SETTLED for attempt in self.attempts):
            return None
        if any(attempt.verdict is Verdict.RETRY_UNPROMPTED for attempt in self.attempts) and self.plan[0].temperature:
            return None
        return self.plan[0]

    def receive(self, attempt: Attempt) -> None:
        """Note what came of the next recipe."""
        self.plan.pop(0)
        self.attempts.append(attempt)

    def answer(self, positions: int, size: int) -> Hypothesis:
        """Return the best attempt as hypothesis.

        positions: encoder positions of the row; size: rows of the batch. A partial hypothesis that is still a loop is
        not shown, more audio will come; a final answer has to be given.
        """
        best = max(self.attempts, key=lambda attempt: attempt.rank)
        withheld = best.verdict is Verdict.SILENCE or (best.loops and not self.request.final)
        decodes = [attempt.decoded for attempt in self.attempts]
        return Hypothesis(
            start=self.request.start,
            end=self.request.end,
            segments=() if withheld else best.segments,
            language=self.language,
            average_log_probability=best.decoded.average_log_probability,
            no_speech_probability=best.decoded.no_speech,
            compression_ratio=best.ratio,
            final=self.request.final,
            statistics=DecodeStatistics(
                passes=sum(decoded.passes for decoded in decodes),
                draft_tokens=sum(decoded.drafted for decoded in decodes),
                accepted_tokens=sum(decoded.accepted for decoded in decodes),
                tokens=len(best.decoded.tokens),
                encoder_positions=positions,
                batch=size,
                fallbacks=len(self.attempts) - 1,
            ),
        )
