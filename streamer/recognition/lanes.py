"""Who is decoded next: lanes, and the earliest deadline first in each. Decides, and neither waits nor reads a clock.

Theory of operation. A request's deadline is the moment at which it became due: when its last sample came, or, for a
client ahead of real time, when that sample would have been spoken. So streams share the device by who has waited
longest, and a file that is pushed at once takes what the others leave. A final goes before every partial that has not
waited HEAD_START_S longer: finals first, and yet a stream that asks for finals without end starves nobody.

What the guards did not trust is decoded again in the slow lane. Between two batches of the fast lane comes at most one
of the slow lane while both wait, and a small one; and as long as anybody waits there, every second batch is theirs.

Recordings, which nobody listens to while they are recognised, have a lane in the background: its turn comes when nobody
waits in the other two, or when MOST_PASSED of their batches have gone before it, so that it is slow and never starved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Protocol

from model.types import DecodeRequest, Hypothesis

MOST_PASSED = 16
"""Batches of live streams that go before one of the background while both wait."""
HEAD_START_S = 2.0
"""A final counts as if it had been due this much earlier: longer than a partial waits on a device that keeps up."""


class Lane(StrEnum):
    """Which of them."""

    FAST = "fast"
    """First attempts."""
    SLOW = "slow"
    """Attempts after the first."""
    BACKGROUND = "background"
    """All attempts at recordings."""


class RequestSource(Protocol):
    """Whoever has something to decode."""

    @property
    def wants_final(self) -> bool:
        """Whether its next request completes an utterance."""
        ...

    @property
    def deadline(self) -> float:
        """When its next request became due, in seconds of the engine's clock."""
        ...

    def next_request(self) -> DecodeRequest | None:
        """Return the freshest request, or None if there is nothing to ask any more."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in a lane."""

    source: RequestSource
    answer: asyncio.Future[Hypothesis | None]
    joined: float
    """When it came, in seconds of the engine's clock."""
    background: bool = False
    """Whether it gives way to all others."""
    request: DecodeRequest | None = None
    """What the source asked when its turn came; made once, whatever attempts it takes."""
    deadline: float = inf
    """The source's, as it was then."""
    tried: list[Hypothesis] = field(default_factory=list)
    """What the attempts so far came to."""

    @property
    def rank(self) -> float:
        """The smaller, the sooner. A source that cannot say goes first: it fails when it is asked, and hears of it."""
        if self.request is not None:
            return rank(self.deadline, final=self.request.final)
        try:
            return rank(self.source.deadline, final=self.source.wants_final)
        except Exception:  # noqa: BLE001  # the same fault is raised where its owner hears of it
            return -inf

    def is_due(self, now: float) -> bool:
        """Say whether it is late from now on: not a recording, nor a client ahead of real time."""
        if self.background:
            return False
        if self.request is not None:
            return self.deadline <= now
        try:
            return self.source.deadline <= now
        except Exception:  # noqa: BLE001  # as in `rank`
            return False

    def ask(self) -> DecodeRequest | None:
        """Have the source make its request, if it has not; keep it. Raises what the source raises."""
        if self.request is None:
            self.deadline = self.source.deadline
            self.request = self.source.next_request()
        return self.request


def rank(deadline: float, *, final: bool) -> float:
    """Return what requests are ordered by."""
    return deadline - HEAD_START_S if final else deadline


class Lanes:
    """Everyone who waits. Bounded by the number of sessions, each of which has at most one ticket."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: dict[Lane, list[Ticket]] = {lane: [] for lane in Lane}
        self._last = Lane.SLOW
        self._passed = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def depth(self, lane: Lane) -> int:
        """Count who waits in a lane."""
        return len(self._waiting[lane])

    def join(self, ticket: Ticket) -> None:
        """Queue in the fast lane, or for another attempt in the slow one; recordings always in the background."""
        live = Lane.SLOW if ticket.tried else Lane.FAST
        self._waiting[Lane.BACKGROUND if ticket.background else live].append(ticket)

    def next_lane(self) -> Lane | None:
        """Choose the lane of the next batch and take note of it; None if nobody waits.

        Whoever has gone, its answer being cancelled, is forgotten.
        """
        for lane, waiting in self._waiting.items():
            self._waiting[lane] = [ticket for ticket in waiting if not ticket.answer.done()]
        turn = Lane.FAST if self._last is Lane.SLOW else Lane.SLOW
        other = self._last
        chosen = next((lane for lane in (turn, other) if self._waiting[lane]), None)
        if self._waiting[Lane.BACKGROUND]:
            if chosen is None or self._passed >= MOST_PASSED:
                self._passed = 0
                return Lane.BACKGROUND
            self._passed += 1
        if chosen is not None:
            self._last = chosen
        return chosen

    def take(self, lane: Lane) -> Iterator[Ticket]:
        """Yield tickets in their order, each taken from its lane when it is yielded; of equals the first to come."""
        waiting = self._waiting[lane]
        waiting.sort(key=lambda ticket: ticket.rank)  # a stable sort
        while waiting:
            yield waiting.pop(0)

    def clear(self) -> None:
        """Cancel all who wait."""
        for waiting in self._waiting.values():
            for ticket in waiting:
                ticket.answer.cancel()
            waiting.clear()
