"""A microphone that comes back: a device that vanishes or stalls is reported within two seconds and opened again.

Nothing is queued here. A caller that is slow fills the pipe of the recording process, which then keeps ten seconds,
and counts and reports what comes on top.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec
import numpy as np

from model.types import SAMPLE_RATE, Samples
from streamer.capture.frames import Frame, Kind
from streamer.capture.portaudio import EXACTLY, AudioUnavailable
from streamer.capture.process import RecorderProcess
from streamer.capture.retries import Retries

STALL_S = 1.5
"""A device from which nothing is heard for this long has stalled: its blocks are 20 ms."""
SECOND_LOOK_S = 0.1
"""Then a frame may lie here all the same, if it was this process that stood still."""
OPENING_S = 15.0
"""Time a process may take to start and open the device."""


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """What was heard."""

    samples: Samples


class Overflowed(msgspec.Struct, frozen=True, tag=True):
    """Audio that was lost because nobody took it in time."""

    samples: int


class DeviceOpened(msgspec.Struct, frozen=True, tag=True):
    """The device records, for the first time or again."""

    name: str
    missing: int = 0
    """Samples that passed by since it was lost."""


class DeviceLost(msgspec.Struct, frozen=True, tag=True):
    """The device has gone or hangs, or is not there yet; it is tried again until it comes."""

    reason: str


DeviceNotice: TypeAlias = Overflowed | DeviceOpened | DeviceLost
Capture: TypeAlias = Captured | DeviceNotice


class Recording(Protocol):
    """One opened device."""

    async def read(self) -> Frame:
        """Return the next frame. Raises EOFError when there is none."""
        ...

    async def close(self) -> bool:
        """End it, at once and whatever state it is in; return whether that came about. May be asked again."""
        ...


class _Gone(Exception):  # noqa: N818 (an end of this recording, not an error of the program)
    """This recording is over, and why."""


class Microphone:
    """Records for as long as it is asked to."""

    def __init__(
        self,
        device: str | None = None,
        start: Callable[[str | None], Awaitable[Recording]] = RecorderProcess.start,
        *,
        required: bool = True,
    ) -> None:
        """Record the device that `find_input` finds for `device`; None takes the system's default.

        A number names the device that has it when it is opened first, wherever that one is found later.

        `required`: a device that cannot be opened at the start is an error; otherwise it is waited for.
        """
        self._device = device
        self._start = start
        self._required = required
        self._heard_until: float | None = None  # monotonic seconds at the end of the last sound

    async def capture(self) -> AsyncGenerator[Capture, None]:
        """Yield what is recorded and what happens to the device, for ever; close it with `contextlib.aclosing`.

        It may then be asked again: nothing is missing before its first sound, and the device is the same.

        Raises AudioUnavailable if a required device cannot be opened the first time.
        """
        self._heard_until = None
        retries = Retries()
        away = False
        while True:
            recording: Recording | None = None
            opened_at: float | None = None
            try:
                recording = await self._begin()
                name = await self._opened(recording)
                frame = await self._read(recording, OPENING_S)
                # Said only now: a device that opens and stays silent has not come back.
                yield DeviceOpened(name, self._missing_before(frame))
                away = False
                opened_at = frame.time
                while True:
                    self._heard_until = frame.time
                    yield sound_of(frame)
                    frame = await self._read(recording, STALL_S)
            except _Gone as gone:
                if self._heard_until is None and self._required:
                    raise AudioUnavailable(str(gone)) from None
                reason = str(gone)
            finally:
                ended = recording is None or await recording.close()
            if not away:
                away = True
                yield DeviceLost(reason)
            if opened_at is not None and self._heard_until is not None:
                retries.recorded(self._heard_until - opened_at)
            await asyncio.sleep(retries.pause())
            while recording is not None and not ended:
                # It is in the device's driver: another would hang there as well, and there would be more and more.
                ended = await recording.close()
                await asyncio.sleep(0 if ended else retries.pause())

    async def _begin(self) -> Recording:
        """Start a recording. Raises _Gone if there can be none now."""
        try:
            return await self._start(self._device)
        except OSError as error:
            raise _Gone(f"the recording process cannot be started: {error}") from None

    async def _opened(self, recording: Recording) -> str:
        """Return the device's name, and ask for it by its name from now on if it was asked for by its number.

        Each recording starts PortAudio anew, which gives the numbers anew: another device may have that one by then.
        """
        frame = await self._read(recording, OPENING_S)
        if frame.kind is not Kind.OPENED:
            raise RuntimeError(f"a recording must begin with {Kind.OPENED}, got {frame.kind}")
        name = frame.payload.decode()
        if self._device is not None and self._device.isdecimal():
            self._device = f"{self._device}{EXACTLY}{name}"
        return name

    def _missing_before(self, frame: Frame) -> int:
        """Return how many samples passed by between the last sound and this one."""
        if self._heard_until is None:
            return 0
        return max(0, round((frame.time - self._heard_until) * SAMPLE_RATE) - samples_in(frame))

    async def _read(self, recording: Recording, patience_s: float) -> Frame:
        """Read a frame. Raises _Gone if the recording is over, AudioUnavailable if a required one cannot be."""
        frame = await self._wait(recording, patience_s)
        match frame.kind:
            case Kind.FAILED:
                raise _Gone(frame.payload.decode())
            case Kind.UNAVAILABLE if self._required:
                raise AudioUnavailable(frame.payload.decode())
            case Kind.UNAVAILABLE:
                raise _Gone(frame.payload.decode())
            case _:
                return frame

    async def _wait(self, recording: Recording, patience_s: float) -> Frame:
        try:
            for seconds in (patience_s, SECOND_LOOK_S):
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        return await recording.read()
        except EOFError as error:
            raise _Gone(str(error)) from None
        raise _Gone(f"no sound from the device for {patience_s:g} s")


def samples_in(frame: Frame) -> int:
    """Return how many samples a frame tells of."""
    return int(frame.payload) if frame.kind is Kind.LOST else len(frame.payload) // 2


def sound_of(frame: Frame) -> Captured | Overflowed:
    """Return what a frame in the middle of a recording tells."""
    match frame.kind:
        case Kind.AUDIO:
            return Captured(np.frombuffer(frame.payload, "<i2").astype(np.float32) / np.float32(32_768.0))
        case Kind.LOST:
            return Overflowed(samples_in(frame))
        case _:
            raise RuntimeError(f"a recording must not go on with {frame.kind}")
