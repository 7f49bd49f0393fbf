"""The parent's view of one child, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import assert_never

from msgspec import DecodeError, msgpack

from model.types import DecodeRequest
from streamer.children import environment
from streamer.device import DeviceLost
from streamer.worker.block import Block, anonymous_file
from streamer.worker.causes import Cause, Loss, loss_of
from streamer.worker.errors import LINE_BYTES, ErrorOutput
from streamer.worker.limits import Limits
from streamer.worker.messages import (
    HEADER,
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
from streamer.worker.relay import repeat

ENDING_S = 1.0
"""A child that is asked to end has this long; one that is killed, too, before it is left to the kernel."""


class RecognizerError(Exception):
    """What the recognizer raised in the child, with its message; a note holds its traceback."""


@dataclass(slots=True)
class Job:
    """A batch that is with the child."""

    number: int
    answer: asyncio.Future[Answer]
    size: int
    allowed_s: float
    deadline: float


class Child:
    """One process. Everything here happens on the event loop; one batch at a time."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        block: Block,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take over what `spawn` has made."""
        self.began = clock()
        self.heard = self.began
        """When it last gave a sign of life, in seconds of `clock`."""
        self.ready: Ready | None = None
        """What it has loaded, once it has."""
        self.refusal: Refused | None = None
        """Why it loaded nothing, if the model or the settings are to blame."""
        self._process = process
        self._reader, self._writer = streams
        self._block = block
        self._limits = limits
        self._clock = clock
        self._encode = msgpack.Encoder(enc_hook=block.put).encode
        self._decode = msgpack.Decoder(ToParent).decode
        self._errors = ErrorOutput()
        self._job: Job | None = None
        self._batches = 0
        self._loss: Loss | None = None
        self._gone = False

    @classmethod
    async def spawn(
        cls, command: Sequence[str], start: Start, windows: int, limits: Limits, clock: Callable[[], float] = monotonic
    ) -> Child:
        """Start a process that becomes a child (`host.main`). Raises OSError if there can be none."""
        ours, theirs = socket.socketpair()
        memory = anonymous_file(windows)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, (theirs.fileno(), memory, windows, os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                # A person at a terminal sees the progress of a download as it is drawn.
                stderr=None if sys.stderr.isatty() else asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(), memory),
                env=environment(os.environ),
                limit=LINE_BYTES,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        except BaseException:
            ours.close()
            os.close(memory)
            raise
        finally:
            theirs.close()
        try:
            block = Block(memory, windows)
            streams = await asyncio.open_connection(sock=ours, limit=2**20)
        except BaseException:
            ours.close()
            process.kill()
            await process.wait()
            raise
        finally:
            os.close(memory)
        child = cls(process, streams, block, limits, clock)
        child._send(start)
        return child

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    async def transcribe(self, batch: Sequence[DecodeRequest], allowed_s: float) -> Answer:
        """Have a batch answered. Raises DeviceLost if the child ends meanwhile, RecognizerError for what it raised."""
        if self._gone:
            raise DeviceLost("it has ended")
        self._batches += 1
        self._block.clear()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        # The deadline begins before the samples are copied: a request that cannot be sent leaves no job behind.
        self._job = Job(self._batches, answer, len(batch), allowed_s, self._clock() + allowed_s)
        try:
            self._send(Work(self._batches, tuple(batch)))
            return await answer
        finally:
            self._job = None

    def forget(self, stream: str) -> None:
        """Let it drop what it keeps for a stream."""
        if not self._gone:
            self._send(Forget(stream))

    def condemn(self, loss: Loss) -> None:
        """Kill it, for this reason."""
        if self._loss is None:
            self._loss = loss
        with suppress(ProcessLookupError):
            self._process.kill()

    async def attend(self, on_ready: Callable[[Ready], None]) -> Loss:
        """Take what it says until it ends, killing it if it hangs; return why it ended."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            errors = group.create_task(self._read_errors())
            await self._listen(on_ready)
            watch.cancel()
            status = await self._bury()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(errors), ENDING_S)  # the last words of a crash
            errors.cancel()
        return self._lose(status)

    async def end(self) -> None:
        """Ask it to end, and see to it; while it loads the model it would not listen, and has nothing to lose."""
        self._give_up("it was asked to end")
        if self.ready is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._writer.close()
        await self._bury()

    async def _listen(self, on_ready: Callable[[Ready], None]) -> None:
        """Take messages until the connection ends."""
        try:
            while True:
                (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                message = self._decode(await self._reader.readexactly(min(size, MOST_BYTES)))
                self.heard = self._clock()
                self._take(message, on_ready)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except DecodeError as error:
            self.condemn(Loss(Cause.GARBLED, f"it said what cannot be understood: {error}"))

    def _take(self, message: ToParent, on_ready: Callable[[Ready], None]) -> None:
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
                on_ready(message)
            case unreachable:
                assert_never(unreachable)

    async def _watch(self) -> None:
        """Kill it when it is silent for too long or a batch is overdue; looks several times before either."""
        pause = min(self._limits.heartbeat_s, self._limits.least_batch_s) / 10
        while True:
            before = self._clock()
            await asyncio.sleep(pause)
            now = self._clock()
            if now - before > 2 * pause:
                # This process was stopped, or busy, and has not read what came meanwhile: no reason to blame the child.
                self._excuse(now - before)
            silence = now - self.heard
            limit = self._limits.heartbeat_s if self.ready else self._limits.loading_s
            if silence > limit:
                self.condemn(Loss(Cause.HUNG, f"it gave no sign of life for {silence:.1f} s"))
                return
            if self._job is not None and now > self._job.deadline:
                detail = f"a batch of {self._job.size} took more than {self._job.allowed_s:.1f} s"
                self.condemn(Loss(Cause.OVERDUE, detail))
                return

    def _excuse(self, seconds: float) -> None:
        self.heard = min(self.heard + seconds, self._clock())
        if self._job is not None:
            self._job.deadline += seconds

    async def _read_errors(self) -> None:
        if self._process.stderr is not None:
            await self._errors.read(self._process.stderr)

    async def _bury(self) -> int | None:
        """Wait for the process to end, which its closed connection says it does; kill it otherwise.

        Returns its exit status, None if the kernel cannot end it yet (a call that hangs in a driver).
        """
        for _ in range(2):
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._process.wait(), ENDING_S)
            with suppress(ProcessLookupError):
                self._process.kill()
        return None

    def _lose(self, status: int | None) -> Loss:
        """Settle why it ended, and tell whoever waits for an answer."""
        loss = self._loss or loss_of(status)
        if self._errors.last_words and not loss.traceback:
            loss = replace(loss, traceback=self._errors.last_words)
        self._give_up(loss.detail)
        return loss

    def _give_up(self, detail: str) -> None:
        self._gone = True
        self._block.close()
        if self._job is not None and not self._job.answer.done():
            self._job.answer.set_exception(DeviceLost(detail))

    def _send(self, message: ToChild) -> None:
        """Write a message; what is not taken at once is one batch, and names of streams that have ended."""
        body = self._encode(message)
        self._writer.write(HEADER.pack(len(body)) + body)
