"""The parent's view of one child, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import assert_never

from msgspec import msgpack

from model.types import DecodeRequest
from streamer.processes.framing import HEADER, UNREADABLE, framed
from streamer.recognition.device import DeviceLost
from streamer.worker.causes import Cause, Loss, loss_of
from streamer.worker.messages import (
    MOST_BYTES,
    Answer,
    Beat,
    Failure,
    Farewell,
    Forget,
    LogLine,
    Ready,
    Refused,
    Start,
    ToChild,
    ToParent,
    Work,
)
from streamer.worker.process import ENDING_S, ChildProcess
from streamer.worker.relay import repeat
from streamer.worker.vigil import Vigil


class RecognizerError(Exception):
    """What the recognizer raised in the child, with its message; a note holds its traceback."""


@dataclass(slots=True)
class Job:
    """A batch that is with the child."""

    number: int
    answer: asyncio.Future[Answer]


class Child:
    """One process. Everything here happens on the event loop; one batch at a time."""

    def __init__(
        self,
        process: ChildProcess,
        vigil: Vigil,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take over what `spawn` has made; `vigil` is told the time of `clock`, in seconds."""
        self.ready: Ready | None = None
        """What it has loaded, once it has."""
        self.refusal: Refused | None = None
        """Why it loaded nothing, if the model or the settings are to blame."""
        self._process = process
        self._vigil = vigil
        self._clock = clock
        self._encode = msgpack.Encoder(enc_hook=process.block.put).encode
        self._decode = msgpack.Decoder(ToParent).decode
        self._job: Job | None = None
        self._batches = 0
        self._loss: Loss | None = None
        self._gone = False

    @classmethod
    async def spawn(
        cls, command: Sequence[str], start: Start, windows: int, vigil: Vigil, clock: Callable[[], float] = monotonic
    ) -> Child:
        """Start a process that becomes a child (`host.main`), under a vigil. Raises OSError if there can be none."""
        child = cls(await ChildProcess.start(command, windows), vigil, clock)
        child._send(start)
        return child

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def silence(self) -> float:
        """Seconds since it last gave a sign of life."""
        return self._clock() - self._vigil.heard

    @property
    def lingers(self) -> bool:
        """Whether its process is still there; after `end` that means that the kernel cannot end it."""
        return self._process.lingers

    async def transcribe(self, batch: Sequence[DecodeRequest], allowed_s: float) -> Answer:
        """Have a batch answered. Raises DeviceLost if the child ends meanwhile, RecognizerError for what it raised."""
        if self._gone:
            raise DeviceLost("it has ended")
        self._batches += 1
        self._process.block.clear()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        # The deadline begins before the samples are copied: a request that cannot be sent leaves no job behind.
        self._job = Job(self._batches, answer)
        self._vigil.begin(self._clock(), len(batch), allowed_s)
        try:
            self._send(Work(self._batches, tuple(batch)))
            return await answer
        finally:
            self._job = None
            self._vigil.end()

    def forget(self, stream: str) -> None:
        """Let it drop what it keeps for a stream."""
        if not self._gone:
            self._send(Forget(stream))

    def condemn(self, loss: Loss) -> None:
        """Kill it, for this reason."""
        if self._loss is None:
            self._loss = loss
        self._process.kill()

    async def attend(self, on_ready: Callable[[Ready, float], None]) -> Loss:
        """Take what it says until it ends, killing it if it hangs; return why it ended.

        `on_ready` hears what it has loaded, and in how many seconds.
        """
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            errors = group.create_task(self._process.read_errors())
            await self._listen(on_ready)
            watch.cancel()
            status = await self._process.bury()
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDING_S):
                    await asyncio.shield(errors)  # the last words of a crash
            errors.cancel()
        return self._lose(status)

    async def end(self) -> None:
        """Ask it to end, and see to it; while it loads the model it would not listen, and has nothing to lose."""
        self._give_up("it was asked to end")
        if self.ready is None:
            self._process.kill()
        self._process.writer.close()
        await self._process.bury()

    async def _listen(self, on_ready: Callable[[Ready, float], None]) -> None:
        """Take messages until the connection ends."""
        reader = self._process.reader
        try:
            while True:
                (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                message = self._decode(await reader.readexactly(min(size, MOST_BYTES)))
                self._vigil.hear(self._clock())
                self._take(message, on_ready)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except UNREADABLE as error:
            self.condemn(Loss(Cause.GARBLED, f"it said what cannot be understood: {error}"))

    def _take(self, message: ToParent, on_ready: Callable[[Ready, float], None]) -> None:
        match message:
            case Beat():
                pass
            case LogLine():
                repeat(message)
            case Answer(number):
                if self._job is not None and self._job.number == number and not self._job.answer.done():
                    self._job.answer.set_result(message)
            case Failure(number, complaint, story):
                if self._job is not None and self._job.number == number and not self._job.answer.done():
                    error = RecognizerError(complaint)
                    error.add_note(story)
                    self._job.answer.set_exception(error)
            case Farewell(cause, complaint, story):
                self._loss = self._loss or Loss(cause, complaint, story)
            case Refused(complaint):
                self.refusal = message
                self._loss = self._loss or Loss(Cause.REFUSED, complaint)
            case Ready():
                self.ready = message
                on_ready(message, self._vigil.load(self._clock()))
            case unreachable:
                assert_never(unreachable)

    async def _watch(self) -> None:
        """Kill it as soon as the vigil says so."""
        while True:
            before = self._clock()
            await asyncio.sleep(self._vigil.pause)
            now = self._clock()
            if now - before > 2 * self._vigil.pause:
                # This process was stopped, or busy, and has not read what came meanwhile: no reason to blame the child.
                self._vigil.excuse(now, now - before)
            if (loss := self._vigil.verdict(now)) is not None:
                self.condemn(loss)
                return

    def _lose(self, status: int | None) -> Loss:
        """Settle why it ended, and tell whoever waits for an answer."""
        loss = self._loss or loss_of(status)
        if self._process.last_words and not loss.traceback:
            loss = replace(loss, traceback=self._process.last_words)
        self._give_up(loss.detail)
        return loss

    def _give_up(self, detail: str) -> None:
        self._gone = True
        self._process.block.close()
        if self._job is not None and not self._job.answer.done():
            self._job.answer.set_exception(DeviceLost(detail))

    def _send(self, message: ToChild) -> None:
        """Write a message; what is not taken at once is one batch, and names of streams that have ended."""
        self._process.writer.write(framed(self._encode(message)))
