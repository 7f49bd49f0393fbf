"""Gathers the requests of all sessions, runs the recognizer on its own thread, delivers the answers.

Theory of operation. Whoever wants a decode waits in line with its source. When the device is free, everyone in line
(finals first, then by arrival, up to max_batch) is asked for its request: requests are pulled at the last moment, so
they carry the newest audio. While one batch decodes, the next gathers; an idle engine adds no delay, a loaded one makes
larger batches, and there is nothing to tune.

The line is bounded by the number of sessions, each of which has at most one request in it. A batch that fails is tried
again row by row, so that only the guilty row's owner hears of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.device import DeviceThread

logger = logging.getLogger(__name__)

FAILURES_UNTIL_UNREADY = 3
"""Batches in a row of which every row failed, after which recognition counts as not happening."""


class EngineError(Exception):
    """This request cannot be recognised; the cause is attached."""


class RequestSource(Protocol):
    """Whoever has something to decode; a Session is one."""

    @property
    def wants_final(self) -> bool:
        """Whether its next request completes an utterance."""
        ...

    def next_request(self) -> DecodeRequest | None:
        """Return the freshest request, or None if there is nothing to ask any more."""
        ...


class EngineObserver(Protocol):
    """Hears what the engine did; for metrics."""

    def batch_done(self, hypotheses: Sequence[Hypothesis], size: int, seconds: float) -> None:
        """Record that `size` rows were decoded in `seconds` of device time."""
        ...

    def batch_failed(self, size: int) -> None:
        """Record that a batch of `size` rows raised."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the line."""

    source: RequestSource
    answer: asyncio.Future[Hypothesis | None]

    @property
    def wants_final(self) -> bool:
        """Whether it goes first; a source that cannot say does not, and fails when it is asked for its request."""
        try:
            return self.source.wants_final
        except Exception:  # noqa: BLE001  # the same fault is raised where its owner hears of it
            return False


class Engine:
    """Owner of the device. Everything but the recognizer's work happens on the event loop."""

    def __init__(self, recognizer: Recognizer, max_batch: int, observer: EngineObserver | None = None) -> None:
        self._recognizer = recognizer
        self._max_batch = max_batch
        self._observer = observer
        self._line: list[Ticket] = []
        self._departed: list[str] = []
        self._wake = asyncio.Event()
        self._failures = 0
        self._running = False
        self.batches = 0
        """Batches finished since the start: progress, for the watchdog."""

    @property
    def ready(self) -> bool:
        """Whether recognition is happening."""
        return self._running and self._failures < FAILURES_UNTIL_UNREADY

    @property
    def idle(self) -> bool:
        """Whether nobody waits in line."""
        return not self._line

    async def transcribe(self, source: RequestSource) -> Hypothesis | None:
        """Wait in line, then answer the request that `source` makes when its turn comes; None if it makes none.

        Raises EngineError if the recognizer failed on this very request.
        """
        ticket = Ticket(source, asyncio.get_running_loop().create_future())
        self._line.append(ticket)
        self._wake.set()
        return await ticket.answer

    def forget(self, stream: str) -> None:
        """Let the recognizer drop what it keeps for a stream, before the next batch."""
        self._departed.append(stream)
        self._wake.set()

    async def run(self) -> None:
        """Serve the line until cancelled; those still waiting are cancelled too."""
        device = DeviceThread("recognizer")
        self._running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._serve(device)
        finally:
            self._running = False
            for ticket in self._line:
                ticket.answer.cancel()
            self._line.clear()
            device.stop()

    async def _serve(self, device: DeviceThread) -> None:
        """Run batches until the line is empty."""
        while self._line or self._departed:
            departed, self._departed = self._departed, []
            for stream in departed:
                await device.run(self._recognizer.forget, stream)
            tickets, requests = self._form_batch()
            if not requests:
                continue
            started = monotonic()
            try:
                answers = await self._decode(device, requests)
                self._deliver(tickets, answers, monotonic() - started)
            finally:
                for ticket in tickets:
                    ticket.answer.cancel()  # does nothing to those that have their answer

    def _form_batch(self) -> tuple[list[Ticket], list[DecodeRequest]]:
        """Take from the line whom to serve now, and their requests."""
        self._line = [ticket for ticket in self._line if not ticket.answer.done()]
        # A stable sort: finals first, each kind in order of arrival.
        self._line.sort(key=lambda ticket: not ticket.wants_final)
        tickets: list[Ticket] = []
        requests: list[DecodeRequest] = []
        while self._line and len(requests) < self._max_batch:
            ticket = self._line.pop(0)
            try:
                request = ticket.source.next_request()
            except Exception as error:  # noqa: BLE001  # a session's own fault: it hears of it, the others go on
                ticket.answer.set_exception(error)
                continue
            if request is None:
                ticket.answer.set_result(None)
                continue
            tickets.append(ticket)
            requests.append(request)
        return tickets, requests

    async def _decode(self, device: DeviceThread, requests: list[DecodeRequest]) -> list[Hypothesis | EngineError]:
        """Run a batch; if it fails, run its rows one by one, so that one stream's trouble stays its own."""
        try:
            answers = complete(await device.run(self._recognizer.transcribe, requests), requests)
        except Exception as error:  # whatever the device raises, the other streams must go on
            if self._observer:
                self._observer.batch_failed(len(requests))
            if len(requests) == 1:
                logger.exception("recognition failed", extra={"stream": requests[0].stream})
                failure = EngineError(f"recognition failed: {error}")
                failure.__cause__ = error
                return [failure]
            logger.warning("a batch of %d failed; its rows are tried one by one", len(requests))
            return [answer for request in requests for answer in await self._decode(device, [request])]
        return list(answers)

    def _deliver(self, tickets: list[Ticket], answers: list[Hypothesis | EngineError], seconds: float) -> None:
        """Hand out answers; whoever has gone meanwhile gets none."""
        good = [answer for answer in answers if isinstance(answer, Hypothesis)]
        self._failures = 0 if good else self._failures + 1
        self.batches += 1
        if self._observer and good:
            self._observer.batch_done(good, len(good), seconds)
        for ticket, answer in zip(tickets, answers, strict=True):
            if ticket.answer.done():
                continue
            if isinstance(answer, EngineError):
                ticket.answer.set_exception(answer)
            else:
                ticket.answer.set_result(answer)


def complete(answers: list[Hypothesis], requests: Sequence[DecodeRequest]) -> list[Hypothesis]:
    """Return the answers if there is one for each request. Raises RuntimeError otherwise."""
    if len(answers) != len(requests):
        raise RuntimeError(f"the recognizer answered {len(answers)} of {len(requests)} requests")
    return answers
