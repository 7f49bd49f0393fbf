"""The parent's view of one child, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
from msgspec import msgpack

from model.types import SAMPLE_RATE, Samples
from streamer.decoding.losses import Cause, DecoderLostError, Loss, loss_of
from streamer.decoding.messages import (
    MOST_BYTES,
    Begun,
    Block,
    Decode,
    End,
    Failure,
    Measured,
    Objection,
    ToParent,
    Unfit,
    UnfitError,
)
from streamer.processes.burial import bury
from streamer.processes.children import environment, program
from streamer.processes.framing import HEADER, UNREADABLE, framed

DECODER: Final = program("streamer.decoding")
"""The program of a child."""
NEEDED: Final = ("PATH", "PYTHON", "LD_", "DYLD_", "LANG", "LC_")
"""How variables begin that a Python with its libraries may need to start; a codec has no use for any other."""
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
START_S: Final = 30.0
"""A child that has not received its file by then does not come up; libraries may be on a disk that is slow."""
ENDING_S: Final = 3.0
"""A child that has closed its connection, or was killed, has this long before it is left to the kernel."""
MOST_WORDS: Final = 16_384
"""Bytes that are kept of what a child writes to its standard error."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost."""

    audio_s: float
    """Longest recording, as decoded."""
    time_s: float
    """Of the clock: to measure the file, and for each block of it."""


class Decoder:
    """One process, for one file. Everything here happens on the event loop; one call at a time."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket, errors: int) -> None:
        """Take over what `start` has made."""
        self.loss: Loss | None = None
        """Why it was lost, if it was."""
        self._process = process
        self._connection = connection
        self._errors = errors
        self._decode = msgpack.Decoder(ToParent).decode
        self._limits = Limits(0, START_S)
        self._left = 0
        self._over = False
        """Whether it has said its last and ends by itself."""
        self._ended = False

    @classmethod
    async def start(cls, command: Sequence[str]) -> Decoder:
        """Start a process that becomes a child (`host.main`). Raises OSError if there can be none."""
        ours, theirs = socket.socketpair()
        errors, complaints = os.pipe()
        try:
            ours.setblocking(False)  # noqa: FBT003  # its only argument
            for end in (errors, complaints):  # what nobody reads in time is lost: a child must not wait for it
                os.set_blocking(end, False)
            process = await asyncio.create_subprocess_exec(
                *command,
                str(os.getpid()),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=complaints,
                env=stripped(os.environ),
                start_new_session=True,  # Ctrl-C is for the parent
            )
        except BaseException:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(complaints)
        return cls(process, ours, errors)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    async def begin(self, file: BinaryIO, limits: Limits) -> None:
        """Hand it its file, which has a descriptor. Raises DecoderLostError if it does not take it."""
        request = framed(msgpack.encode(Decode(limits.audio_s, limits.time_s)))
        with suppress(OSError):  # it has ended, which it says in its own way
            socket.send_fds(self._connection, [request], [file.fileno()])
        try:
            async with asyncio.timeout(START_S):
                message = await self._receive()
        except TimeoutError:
            raise self._lose(Loss(Cause.SILENT, f"it did not begin within {START_S:g} s", self._words())) from None
        if not isinstance(message, Begun):
            raise self._garbled(message)
        self._limits = limits

    async def measure(self) -> int:
        """Return the length of its file in samples at 16 kHz.

        Raises UnfitError for a file that is not taken, DecoderLostError if it ends meanwhile.
        """
        message = await self._next()
        if not isinstance(message, Measured):
            raise self._garbled(message)
        self._left = message.samples + SAMPLE_RATE  # a resampler may round, and no more than that
        return message.samples

    async def blocks(self) -> AsyncGenerator[Samples]:
        """Yield the file as (n,) float32 at 16 kHz, after `measure`. Raises as `measure` does."""
        while True:
            message = await self._next()
            if isinstance(message, End):
                self._over = True
                return
            if not isinstance(message, Block) or len(message.samples) % 4:
                raise self._garbled(message)
            samples = np.frombuffer(message.samples, np.float32)
            self._left -= len(samples)
            if self._left < 0 or not np.isfinite(samples).all():
                raise self._garbled(message)
            yield samples

    async def wait(self) -> None:
        """Wait until its process has ended."""
        await self._process.wait()

    def die(self) -> None:
        """Note that it has ended before it had a file."""
        self._lose(loss_of(self._process.returncode, self._words()))

    async def end(self) -> None:
        """End it, and see to it; nothing of it is left."""
        if self._ended:
            return
        self._ended = True
        self._connection.close()
        if not self._over:  # else its end might be taken from asyncio by the signal, which looks first
            with suppress(ProcessLookupError):
                self._process.kill()
        try:
            await bury(self._process, ENDING_S)
        finally:
            os.close(self._errors)

    async def _next(self) -> Measured | Block | End:
        """Return what it says next of its file, within the limit. Raises as `measure` does."""
        try:
            async with asyncio.timeout(self._limits.time_s):
                message = await self._receive()
        except TimeoutError:
            raise self._too_costly() from None
        match message:
            case Unfit(objection, complaint):
                self._over = True
                raise UnfitError(objection, complaint)
            case Failure(complaint, story, out_of_memory):
                self._over = True
                cause = Cause.MEMORY if out_of_memory else Cause.FAILED
                raise self._lose(Loss(cause, complaint, story))
            case Begun():
                raise self._garbled(message)
            case _:
                return message

    async def _receive(self) -> ToParent:
        """Return its next message. Raises DecoderLostError at its end, UnfitError if its processor's time is up."""
        try:
            (size,) = HEADER.unpack(await self._take(HEADER.size))
            body = await self._take(size) if size <= MOST_BYTES else b""
        except (EOFError, ConnectionError):
            status = await bury(self._process, ENDING_S)
            if status == -signal.SIGXCPU:
                raise self._too_costly() from None
            raise self._lose(loss_of(status, self._words())) from None
        try:
            message: ToParent = self._decode(body)
        except UNREADABLE as error:
            raise self._lose(Loss(Cause.GARBLED, f"it said what cannot be understood: {error}")) from None
        return message

    async def _take(self, size: int) -> bytearray:
        """Return so many bytes. Raises EOFError if it ends before."""
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = await loop.sock_recv_into(self._connection, rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return data

    def _words(self) -> str:
        """Return what it has written to its standard error."""
        with suppress(BlockingIOError):
            return os.read(self._errors, MOST_WORDS).decode(errors="replace").rstrip()
        return ""

    def _too_costly(self) -> UnfitError:
        seconds = self._limits.time_s
        complaint = f"decoding the file takes longer than {seconds:g} s; send it as WAV or in parts"
        return UnfitError(Objection.COSTLY, complaint)

    def _garbled(self, message: ToParent) -> DecoderLostError:
        return self._lose(Loss(Cause.GARBLED, f"it said what cannot be: {type(message).__name__.lower()}"))

    def _lose(self, loss: Loss) -> DecoderLostError:
        self.loss = self.loss or loss
        return DecoderLostError(self.loss)


def stripped(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the daemon that a child needs, and those that keep it to one thread."""
    needed = {name: value for name, value in environment(variables).items() if name.startswith(NEEDED)}
    return needed | ONE_THREAD
