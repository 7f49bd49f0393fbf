"""A microphone that comes back: a device that vanishes or stalls is reported within two seconds and opened again.

Nothing is queued here. A caller that is slow fills the pipe of the recording process, which then keeps ten seconds,
and counts and reports what comes on top.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from clients.portaudio import AudioUnavailable
from clients.recorder import HEADER, Kind
from model.types import Samples

STALL_S = 1.5
"""A device from which nothing is heard for this long has stalled: its blocks are 20 ms."""
OPENING_S = 15.0
"""Time a process may take to start and open the device."""
FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """What was heard."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Audio that was lost because nobody took it in time."""

    samples: int


@dataclass(frozen=True, slots=True)
class DeviceOpened:
    """The device records, for the first time or again."""

    name: str


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The device has gone or hangs; it is tried again until it comes back."""

    reason: str


Capture: TypeAlias = Captured | Overflowed | DeviceOpened | DeviceLost


class Recording(Protocol):
    """One opened device."""

    async def read(self) -> tuple[Kind, bytes]:
        """Return the next frame. Raises EOFError when there is none."""
        ...

    async def close(self) -> None:
        """End it, at once and whatever state it is in."""
        ...


def environment() -> dict[str, str]:
    """Return this process' environment for a child that has to find the same packages, installed or not."""
    ours = str(Path(__file__).parents[1])
    theirs = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{ours}{os.pathsep}{theirs}" if theirs else ours}


class RecorderProcess:
    """A `clients.recorder` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, device: str | None) -> RecorderProcess:
        """Start recording `device`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named clients where the user happens to be is not ours
            "-m",
            "clients.recorder",
            *([device] if device is not None else []),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # ALSA and JACK chatter; errors come as frames
            env=environment(),
            start_new_session=True,  # Ctrl-C is for us to handle
        )
        return cls(process)

    async def read(self) -> tuple[Kind, bytes]:
        """Return the next frame. Raises EOFError when the process has ended."""
        assert self._process.stdout
        try:
            kind, length = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
            return Kind(kind), await self._process.stdout.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise EOFError("the recording process has ended") from error

    async def close(self) -> None:
        """Kill the process: one whose sound server hangs would not end otherwise."""
        assert self._process.stdout
        with suppress(ProcessLookupError):
            self._process.kill()
        # asyncio counts a process as ended only when its pipe is, and a pipe that is full stays open until it is read.
        while await self._process.stdout.read(65_536):
            pass
        await self._process.wait()


class _Gone(Exception):  # noqa: N818 (an end of this recording, not an error of the program)
    """This recording is over, and why."""


class Microphone:
    """Records for as long as it is asked to."""

    def __init__(
        self,
        device: str | None = None,
        start: Callable[[str | None], Awaitable[Recording]] = RecorderProcess.start,
    ) -> None:
        """Record the device with this number or a name that holds `device`; None takes the system's default."""
        self._device = device
        self._start = start

    async def capture(self) -> AsyncGenerator[Capture, None]:
        """Yield what is recorded and what happens to the device, for ever; close it with `contextlib.aclosing`.

        Raises AudioUnavailable if a library is missing, or if the device cannot be opened the first time.
        """
        pause = FIRST_RETRY_S
        lost: DeviceLost | None = None
        heard = False
        while True:
            recording = await self._start(self._device)
            try:
                opened = await self._opened(recording)
                item = await self._next(recording, OPENING_S)
                # Said only now: a device that opens and stays silent has not come back.
                yield opened
                pause, lost, heard = FIRST_RETRY_S, None, True
                while True:
                    yield item
                    item = await self._next(recording, STALL_S)
            except _Gone as gone:
                if not heard:
                    raise AudioUnavailable(str(gone)) from None
                reason = str(gone)
            finally:
                await recording.close()
            if lost is None:
                lost = DeviceLost(reason)
                yield lost
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_S)

    async def _opened(self, recording: Recording) -> DeviceOpened:
        kind, payload = await self._read(recording, OPENING_S)
        if kind is not Kind.OPENED:
            raise RuntimeError(f"a recording must begin with {Kind.OPENED}, got {kind}")
        return DeviceOpened(payload.decode())

    async def _next(self, recording: Recording, patience_s: float) -> Captured | Overflowed:
        kind, payload = await self._read(recording, patience_s)
        if kind is Kind.AUDIO:
            return Captured(np.frombuffer(payload, "<i2").astype(np.float32) / np.float32(32_768.0))
        if kind is Kind.LOST:
            return Overflowed(int(payload))
        raise RuntimeError(f"a recording must not go on with {kind}")

    async def _read(self, recording: Recording, patience_s: float) -> tuple[Kind, bytes]:
        """Read a frame. Raises _Gone if the recording is over, AudioUnavailable if there can be none."""
        try:
            async with asyncio.timeout(patience_s):
                kind, payload = await recording.read()
        except TimeoutError:
            raise _Gone(f"no sound from the device for {patience_s:g} s") from None
        except EOFError as error:
            raise _Gone(str(error)) from None
        match kind:
            case Kind.FAILED:
                raise _Gone(payload.decode())
            case Kind.UNAVAILABLE:
                raise AudioUnavailable(payload.decode())
            case _:
                return kind, payload
