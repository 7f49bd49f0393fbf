"""Which of several attempts at one request is its answer. Pure: no torch.

Attempts may be made one by one, other requests between them; what is known of each is in its hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.types import DecodeStatistics, Hypothesis


def best(hypotheses: Sequence[Hypothesis]) -> Hypothesis:
    """Return the best of the attempts at one request, with what all of them cost.

    One that the guards trust goes before one that they do not, then one that is no loop, then the likelier; of equals
    the first. A partial hypothesis that is still a loop has its words withheld, for more audio will come; a final
    answer has to be given. Settled is the choice as soon as any of the attempts was.
    Raises ValueError for none, or for answers to different audio.
    """
    if len({(hypothesis.start, hypothesis.end, hypothesis.final) for hypothesis in hypotheses}) != 1:
        raise ValueError(f"attempts must answer one request, got {len(hypotheses)} that do not")
    chosen = max(hypotheses, key=rank)
    return replace(
        chosen,
        segments=() if chosen.loops and not chosen.final else chosen.segments,
        settled=any(hypothesis.settled for hypothesis in hypotheses),
        statistics=total(chosen.statistics, [hypothesis.statistics for hypothesis in hypotheses]),
    )


def rank(hypothesis: Hypothesis) -> tuple[bool, bool, float]:
    """Order attempts at one request, the best one last."""
    return hypothesis.trusted, not hypothesis.loops, hypothesis.average_log_probability


def total(chosen: DecodeStatistics, attempts: Sequence[DecodeStatistics]) -> DecodeStatistics:
    """Return what all attempts cost together, beside what describes the chosen one."""
    return replace(
        chosen,
        passes=sum(one.passes for one in attempts),
        draft_tokens=sum(one.draft_tokens for one in attempts),
        accepted_tokens=sum(one.accepted_tokens for one in attempts),
        computed_positions=sum(one.computed_positions for one in attempts),
        fallbacks=sum(one.fallbacks for one in attempts) + len(attempts) - 1,
    )
