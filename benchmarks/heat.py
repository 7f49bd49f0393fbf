"""One contestant hearing one stream: the unit of work of the comparison, done in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from benchmarks.conditions import Condition
from benchmarks.contestants import Contestant
from benchmarks.emission import System
from benchmarks.offline import hear_offline
from benchmarks.outcome import Outcome, assess
from benchmarks.peers.absent import NotMeasured
from benchmarks.speech import Speech


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one contestant on one stream."""

    contestant: Contestant
    name: str
    settings: str
    outcome: Outcome | None
    """None if it could not be measured; then the settings say why."""


def start() -> None:
    """Prepare a process: one thread, so that CPU seconds do not depend on how many there are."""
    torch.set_num_threads(1)


def listen_offline(model: str, condition: Condition) -> tuple[str, ...]:
    """Return what the model hears of the whole stream."""
    return hear_offline(model, speech(condition))


def compete(contestant: Contestant, condition: Condition, offline: tuple[str, ...], work: Path) -> Result:
    """Let one contestant hear one stream."""
    try:
        system = build(contestant, work)
        run = system.run(speech(condition))
    except NotMeasured as missing:
        return Result(contestant, missing.name, missing.reason, None)
    return Result(contestant, system.name, system.settings, assess(condition, speech(condition), offline, run))


@cache
def build(contestant: Contestant, work: Path) -> System:
    """Load it once in a process."""
    return contestant.build(work)


@cache
def speech(condition: Condition) -> Speech:
    """Make a stream once in a process."""
    return condition.speech()
