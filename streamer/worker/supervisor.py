"""Keeps one child alive, and is the recognizer to the engine."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import NoReturn

from model.errors import ModelError
from model.types import DecodeRequest, Hypothesis, ModelCard
from streamer import logs
from streamer.config import ConfigError
from streamer.recognition.batch import work
from streamer.recognition.device import DeviceLost
from streamer.worker.backoff import SETTLED_S, Backoff
from streamer.worker.causes import Cause, Loss
from streamer.worker.child import Child
from streamer.worker.limits import BatchAllowance, Limits, LoadAllowance
from streamer.worker.messages import Ready, Start
from streamer.worker.vigil import Vigil

logger = logging.getLogger(__name__)

MOST_LINGERING = 3
"""Processes that the kernel cannot end, each of which may hold a model's memory, before no more are started."""
LOOK_S = 1.0
"""Between two looks whether one of them has ended."""


class WorkerError(Exception):
    """The first child did not come up: nothing can be served."""


class Supervisor:
    """Implements `streamer.recognition.device.RemoteRecognizer`. Everything happens on the event loop."""

    def __init__(
        self,
        command: Sequence[str],
        start: Callable[[int], Start],
        windows: int,
        *,
        limits: Limits,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Describe the children.

        command: the program that becomes a child, such as (python, "-m", "streamer.worker"); start: makes the first
        message to it for its number, from 1; windows: the largest batch.
        """
        self._command = command
        self._start = start
        self._windows = windows
        self._limits = limits
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._allowance = BatchAllowance(limits)
        self._loading = LoadAllowance(limits)
        self._generation = 0
        self._child: Child | None = None
        self._lingering: list[Child] = []
        self._first: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.Event()
        self._serving_since = inf
        self._lost_at: float | None = None
        self._steps: Counter[str] = Counter()
        self._steps_before: Counter[str] = Counter()
        self.on_loss: Callable[[Loss], None] = lambda _: None
        """Hears of every child that was lost after the first had come up."""
        self.restarts: Counter[Cause] = Counter()
        """Children lost, by cause."""

    @property
    def card(self) -> ModelCard:
        """What is loaded. Raises InvalidStateError before `loaded`."""
        return self._first.result().card

    @property
    def serving(self) -> bool:
        """Whether there is a child that has loaded the model."""
        return self._serving.is_set()

    @property
    def pid(self) -> int:
        """Number of the child's process; 0 while there is none."""
        return self._child.pid if self._child else 0

    @property
    def silence(self) -> float:
        """Seconds since the child's last sign of life; 0 while there is none."""
        return self._child.silence if self._child else 0.0

    def step_counts(self) -> dict[str, int]:
        """Return how all children together made single-token steps; empty for recognizers that do not count."""
        return {name: self._steps_before[name] + self._steps[name] for name in {**self._steps_before, **self._steps}}

    async def loaded(self) -> Ready:
        """Wait for the first child to load the model; what makes that impossible, `run` raises."""
        return await asyncio.shield(self._first)

    async def available(self) -> None:
        """Wait for a child that has loaded the model."""
        await self._serving.wait()

    async def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in order.

        Raises DeviceLost if there is no child or it ended over the batch, RecognizerError for what the recognizer
        raised, ValueError for requests that cannot be sent.
        """
        if self._child is None or not self.serving:
            raise DeviceLost("it is being started")
        amount = sum(map(work, batch))
        began = self._clock()
        answer = await self._child.transcribe(batch, self._allowance.seconds(amount))
        self._allowance.learn(amount, self._clock() - began)
        self._backoff.succeed()
        self._steps = Counter(answer.steps)
        return list(answer.hypotheses)

    async def forget(self, stream: str) -> None:
        """Drop what is cached for a stream that has ended; a child that is yet to come knows nothing of it."""
        if self._child is not None and self.serving:
            self._child.forget(stream)

    def renew(self, reason: str) -> None:
        """Replace a child that lives and is of no use."""
        if self._child is not None and self.serving:
            self._child.condemn(Loss(Cause.FAILING, reason))

    async def run(self) -> NoReturn:
        """Have a child, for ever; end it when cancelled.

        Raises ModelError, ConfigError, WorkerError or OSError if the first one does not come up. Those after it are
        tried again for ever.
        """
        while True:
            loss = await self._live()
            self._steps_before.update(self._steps)
            self._steps = Counter()
            pause = self._backoff.pause()
            self._tell(loss, pause)
            await asyncio.sleep(pause)
            await self._leave_room()

    async def _live(self) -> Loss:
        """Have one child until it is lost."""
        self._generation += 1
        self._serving_since = inf
        try:
            vigil = Vigil(self._clock(), self._limits, self._loading.seconds)
            child = await Child.spawn(self._command, self._start(self._generation), self._windows, vigil, self._clock)
        except OSError as error:
            if not self._first.done():
                raise
            return Loss(Cause.REFUSED, f"no process can be started: {error}")
        self._child = child
        try:
            loss = await child.attend(self._welcome)
        finally:
            self._serving.clear()
            self._child = None
            await child.end()
        if self._clock() - self._serving_since >= SETTLED_S:
            self._backoff.succeed()
        if loss.cause is Cause.OVERDUE:
            (self._allowance if child.ready else self._loading).miss()
        if child.lingers:
            self._lingering.append(child)
            logger.error("the kernel cannot end the process; it is left alone", extra={"pid": child.pid})
        if not self._first.done():
            raise failure(child, loss)
        return loss

    async def _leave_room(self) -> None:
        """Wait while there are too many processes that the kernel cannot end."""
        while sum(child.lingers for child in self._lingering) >= MOST_LINGERING:  # noqa: ASYNC110  # the kernel has none
            await asyncio.sleep(LOOK_S)
        self._lingering = [child for child in self._lingering if child.lingers]

    def _welcome(self, ready: Ready, seconds: float) -> None:
        """Let a child that has loaded the model, in so many seconds, serve."""
        self._loading.learn(seconds)
        if not self._first.done():
            self._first.set_result(ready)
        self._serving.set()
        self._serving_since = self._clock()
        if self._lost_at is not None:
            seconds = round(self._clock() - self._lost_at, 3)
            logger.info("recognition goes on in a new process", extra={"pid": self.pid, "after_s": seconds})
            self._lost_at = None

    def _tell(self, loss: Loss, pause: float) -> None:
        """Log and count a loss, in one line, and tell whoever listens."""
        self.restarts[loss.cause] += 1
        if self._lost_at is None:
            self._lost_at = self._clock()
        message = f"the recognizer's process was lost and is started again: {loss.detail}"
        details = {"cause": loss.cause, "pause_s": pause, "generation": self._generation}
        logs.tell(logger, logging.ERROR, message, details, traceback=loss.traceback)
        self.on_loss(loss)


def failure(child: Child, loss: Loss) -> Exception:
    """Return what to raise about a first child that did not come up."""
    if child.refusal is not None:
        return (ConfigError if child.refusal.configuration else ModelError)(child.refusal.message)
    if loss.traceback:
        logs.tell(logger, logging.ERROR, "the model was not loaded", {"cause": loss.cause}, traceback=loss.traceback)
    return WorkerError(f"the recognizer's process was lost while it loaded the model: {loss.detail}")


@asynccontextmanager
async def supervised(supervisor: Supervisor) -> AsyncGenerator[Supervisor]:
    """Run a supervisor; its child ends with the block. What ends the run is raised in an ExceptionGroup."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(supervisor.run())
        yield supervisor
        running.cancel()
