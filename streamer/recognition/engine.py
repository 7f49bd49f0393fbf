"""Gathers the requests of all sessions, runs the recognizer on its own thread, delivers the answers.

Theory of operation. Whoever wants a decode waits with its source. When the device is free, those whose turn it is
(`lanes.py`), as many as a batch may have (`batch.py`), are asked for their requests: requests are pulled at the last
moment, so that they carry the newest audio. While one batch decodes, the next gathers; an idle engine adds no delay, a
loaded one makes larger batches.

The recognizer makes one attempt at a time. An answer that is not settled sends its request to the slow lane for the
next attempt, while its session waits; it gets the best of all attempts. So a stream whose audio takes many attempts
holds up itself and no other.

The line is bounded by the number of sessions, each of which has at most one request in it. A batch that fails is tried
again row by row, so that only the guilty row's owner hears of it; if the device itself is lost under a batch, likewise,
as soon as there is another (`runner.py`, `suspects.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from math import inf
from time import monotonic

from model.decoding.choice import best
from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.recognition.batch import BatchBound, EngineObserver
from streamer.recognition.device import Device, DeviceThread, RemoteRecognizer
from streamer.recognition.lanes import Lane, Lanes, RequestSource, Ticket
from streamer.recognition.ledger import Ledger
from streamer.recognition.runner import BatchRunner, EngineError

MOST_ATTEMPTS = 16
"""At one request; a recognizer that still has not settled is taken at its best word."""


async def at_once() -> None:
    """Wait for nothing."""


class Engine:
    """Owner of the device. Everything but the recognizer's work happens on the event loop."""

    def __init__(
        self,
        recognizer: Recognizer | RemoteRecognizer,
        max_batch: int,
        *,
        observers: Sequence[EngineObserver] = (),
        batch_seconds: Callable[[], float] = lambda: inf,
        clock: Callable[[], float] = monotonic,
        make_device: Callable[[str], Device] = DeviceThread,
        available: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        """`batch_seconds` says how long a batch should take at most; `clock` gives seconds, as sources' deadlines.

        `make_device` makes what the recognizer runs on, for a name; `RemoteDevice` for a RemoteRecognizer.
        `available` waits until the recognizer can be asked: its time is no batch's.
        """
        self._bound = BatchBound(max_batch)
        self._ledger = Ledger(self._bound, observers, clock)
        self._runner = BatchRunner(recognizer, self._ledger.count_failure)
        self._batch_seconds = batch_seconds
        self._clock = clock
        self._make_device = make_device
        self._available = available
        self._lanes = Lanes()
        self._tickets: set[Ticket] = set()
        self._departed: list[str] = []
        self._wake = asyncio.Event()
        self._running = False

    @property
    def batches(self) -> int:
        """Batches finished since the start: progress, for the watchdog."""
        return self._ledger.batches

    @property
    def ready(self) -> bool:
        """Whether recognition is happening."""
        return self._running and self._ledger.recognition_happens

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return not len(self._lanes)

    @property
    def owing(self) -> bool:
        """Whether anybody who listens waits for an answer that is due, in line or on the device."""
        now = self._clock()
        return any(ticket.is_due(now) for ticket in self._tickets)

    @property
    def waiting_since(self) -> float | None:
        """From when on, by the engine's clock, somebody has waited for an answer; None if nobody waits."""
        return min((ticket.joined for ticket in self._tickets), default=None)

    def depth(self, lane: Lane) -> int:
        """Count the requests that wait in a lane."""
        return self._lanes.depth(lane)

    async def transcribe(self, source: RequestSource, *, background: bool = False) -> Hypothesis | None:
        """Wait in line, then answer the request that `source` makes when its turn comes; None if it makes none.

        `background` gives way to all who do not say so: for recordings, which nobody hears meanwhile.
        Raises EngineError if the recognizer failed on this very request.
        """
        ticket = Ticket(source, asyncio.get_running_loop().create_future(), self._clock(), background)
        self._lanes.join(ticket)
        self._wake.set()
        self._tickets.add(ticket)
        try:
            return await ticket.answer
        finally:
            self._tickets.remove(ticket)

    async def doubted(self) -> None:
        """Wait until it is in doubt whether recognition happens, which a trial settles."""
        await self._ledger.doubted()

    def forget(self, stream: str) -> None:
        """Let the recognizer drop what it keeps for a stream, before the next batch."""
        self._departed.append(stream)
        self._wake.set()

    async def run(self) -> None:
        """Serve the lanes until cancelled; those still waiting are cancelled too."""
        device = self._make_device("recognizer")
        self._running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._serve(device)
        finally:
            self._running = False
            self._lanes.clear()
            device.stop()

    async def _serve(self, device: Device) -> None:
        """Run batches until nobody waits."""
        while self._departed or not self.idle:
            departed, self._departed = self._departed, []
            for stream in departed:
                await self._runner.forget(device, stream)
            await self._available()
            lane = self._lanes.next_lane()
            if lane is None:
                continue
            tickets, requests = self._form_batch(lane)
            if not requests:
                continue
            await self._decode(device, lane, tickets, requests)

    def _form_batch(self, lane: Lane) -> tuple[list[Ticket], list[DecodeRequest]]:
        """Take from a lane whom to serve now, and their requests."""
        tickets: list[Ticket] = []
        requests: list[DecodeRequest] = []
        seconds = self._batch_seconds()
        for ticket in self._lanes.take(lane):
            try:
                request = ticket.ask()
            except Exception as error:  # noqa: BLE001  # a session's own fault: it hears of it, the others go on
                ticket.answer.set_exception(error)
                continue
            if request is None:
                ticket.answer.set_result(None)
                continue
            tickets.append(ticket)
            requests.append(replace(request, attempt=len(ticket.tried)))
            if self._bound.reached(requests, seconds, lane):
                break
        return tickets, requests

    async def _decode(self, device: Device, lane: Lane, tickets: list[Ticket], requests: list[DecodeRequest]) -> None:
        """Run a batch and deliver its answers; what fails together is run again row by row.

        So one stream's trouble stays its own, and who has nothing to do with it has the answer before.
        """
        undelivered = set(tickets)
        parts = deque(self._runner.divide(requests))
        try:
            while parts:
                rows = [row for row in parts.popleft() if not tickets[row].answer.done()]
                if not rows:
                    continue
                concerned, asked = [tickets[row] for row in rows], [requests[row] for row in rows]
                await self._available()
                began = self._clock()
                outcome = await self._runner.attempt(device, asked)
                if outcome is None:
                    parts.extend([rows[row]] for part in self._runner.divide(asked) for row in part)
                    continue
                self._ledger.account(lane, began, concerned, asked, outcome)
                answers: Sequence[Hypothesis | EngineError] = [outcome] if isinstance(outcome, EngineError) else outcome
                for ticket, answer in zip(concerned, answers, strict=True):
                    self._deliver(ticket, answer)
                    undelivered.discard(ticket)
        finally:
            for ticket in undelivered:
                ticket.answer.cancel()

    def _deliver(self, ticket: Ticket, answer: Hypothesis | EngineError) -> None:
        """Hand out an answer, or ask for the next attempt; whoever has gone meanwhile gets none."""
        if ticket.answer.done():
            return
        if isinstance(answer, Hypothesis):
            ticket.tried.append(answer)
            if answer.settled or len(ticket.tried) >= MOST_ATTEMPTS:
                ticket.answer.set_result(best(ticket.tried))
            else:
                self._lanes.join(ticket)
        elif ticket.tried:  # another attempt failed, as the log says; what the ones before came to stands
            ticket.answer.set_result(best(ticket.tried))
        else:
            ticket.answer.set_exception(answer)
