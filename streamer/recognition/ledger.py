"""What came of an engine's batches: whether recognition happens, how large the next one may be, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from model.types import DecodeRequest, Hypothesis
from streamer.recognition.batch import Batch, BatchBound, EngineObserver
from streamer.recognition.health import Health
from streamer.recognition.lanes import Lane, Ticket
from streamer.recognition.runner import EngineError, ShunnedError


class Ledger:
    """Takes note of every batch of one engine."""

    def __init__(self, bound: BatchBound, observers: Sequence[EngineObserver], clock: Callable[[], float]) -> None:
        """`bound` learns from the batches; `observers` hear of them; `clock` gives seconds, the engine's."""
        self._bound = bound
        self._observers = observers
        self._clock = clock
        self._health = Health()
        self._doubt = asyncio.Event()
        self.batches = 0
        """Batches finished since the start."""

    @property
    def recognition_happens(self) -> bool:
        """Whether it does, as far as answers tell."""
        return self._health.happens

    async def doubted(self) -> None:
        """Wait until it is in doubt whether recognition happens, which a trial settles."""
        await self._doubt.wait()

    def count_failure(self, requests: int) -> None:
        """Take note that the recognizer raised for so many requests."""
        for observer in self._observers:
            observer.batch_failed(requests)

    def account(
        self,
        lane: Lane,
        began: float,
        tickets: Sequence[Ticket],
        requests: Sequence[DecodeRequest],
        outcome: Sequence[Hypothesis] | EngineError,
    ) -> None:
        """Take note of a batch that `began` then, by the clock; the order of requests is that of their tickets."""
        now = self._clock()
        if isinstance(outcome, ShunnedError):
            return
        self._judge(requests, well=not isinstance(outcome, EngineError))
        self.batches += 1
        if isinstance(outcome, EngineError):
            return
        if lane is Lane.FAST:
            self._bound.learn(requests, now - began)
        waits = tuple(now - max(ticket.joined, ticket.deadline) for ticket in tickets)
        due = sum(ticket.deadline <= began and not ticket.background for ticket in tickets) / len(tickets)
        for observer in self._observers:
            observer.batch_done(Batch(lane, tuple(outcome), now - began, waits, due))

    def _judge(self, requests: Sequence[DecodeRequest], *, well: bool) -> None:
        """Take note of whether something came of a batch, for whoever asks whether recognition happens."""
        if well:
            self._health.answer()
            self._doubt.clear()
            return
        self._health.fail(requests[0].stream)
        if self._health.doubtful:
            self._doubt.set()
