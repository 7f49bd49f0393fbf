"""Record one device and write it to a pipe: the child process behind `clients.microphone`.

Why a process: a stalled sound server raises nothing and may hold the thread that closes its stream for half a minute,
and PortAudio sees a device that was plugged in later only after a restart. A process can be killed at once, and a new
one sees the devices of its time.

Frames on the pipe: one byte kind, four bytes length (little-endian), payload.
"""

from __future__ import annotations

import os
import queue
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import soxr

from clients.portaudio import AudioUnavailable, InputDevice, find_input, load_portaudio
from model.types import SAMPLE_RATE

HEADER = struct.Struct("<cI")
BLOCKS_PER_SECOND = 50
QUEUE_BLOCKS = 10 * BLOCKS_PER_SECOND
"""Ten seconds wait at most for a reader that is slow; what comes on top is counted and reported as LOST."""
RESUME_BLOCKS = QUEUE_BLOCKS // 2
"""A full queue takes blocks again when half of it has been read: one long gap is better than a hundred in a row."""
PATIENCE_S = 0.5


class Kind(Enum):
    """What a frame holds."""

    OPENED = b"O"
    """Name of the device, UTF-8."""
    AUDIO = b"A"
    """s16le mono at 16 kHz."""
    LOST = b"L"
    """Decimal number of 16 kHz samples that were not recorded between the audio around this frame."""
    FAILED = b"F"
    """Why the device cannot be used (any longer), UTF-8; the last frame. It may work later."""
    UNAVAILABLE = b"U"
    """What has to be installed, UTF-8; the last frame. Trying again is of no use."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a device is opened."""

    sample_rate: int
    channels: int


class Recorder:
    """One recording of one device, from opening it to losing it."""

    def __init__(self, portaudio: Any, device: InputDevice, write: Callable[[bytes], object]) -> None:
        self._portaudio = portaudio
        self._device = device
        self._write = write
        # Filled by PortAudio's thread: blocks, numbers of lost samples, None at the end.
        self._queue: queue.Queue[bytes | int | None] = queue.Queue(QUEUE_BLOCKS + 2)
        self._lost = 0
        self._full = False

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Record until the device goes away or `keep_going` says no; it is asked about twice a second or more.

        Raises AudioUnavailable if the device cannot be opened or has stopped by itself.
        """
        shape = self._shape()
        resampler = soxr.ResampleStream(shape.sample_rate, SAMPLE_RATE, 1, dtype="float32")
        try:
            stream = self._portaudio.RawInputStream(
                device=self._device.index,
                samplerate=shape.sample_rate,
                channels=shape.channels,
                dtype="int16",
                blocksize=shape.sample_rate // BLOCKS_PER_SECOND,
                callback=self._hear,
                finished_callback=self._finish,
            )
            with stream:
                self._write(frame(Kind.OPENED, self._device.name.encode()))
                for item in self._items(keep_going):
                    self._forward(item, shape, resampler)
        except self._portaudio.PortAudioError as error:
            raise AudioUnavailable(f"{self._device.name}: {error}") from error

    def _shape(self) -> Shape:
        """Ask for 16 kHz mono, else for the device's own rate, else for all of its channels too."""
        own = self._device.sample_rate
        shapes = Shape(SAMPLE_RATE, 1), Shape(own, 1), Shape(own, self._device.channels)
        for shape in shapes:
            try:
                self._portaudio.check_input_settings(
                    device=self._device.index, channels=shape.channels, dtype="int16", samplerate=shape.sample_rate
                )
            except self._portaudio.PortAudioError:
                continue
            return shape
        return shapes[-1]  # opening it says what is wrong

    def _hear(self, block: Any, frames: int, _time: object, status: Any) -> None:
        """Take a block, on PortAudio's thread: never wait here."""
        if status.input_overflow:
            self._lost += frames  # PortAudio does not say how much was lost; it is a block at least
        waiting = self._queue.qsize()
        self._full = waiting > RESUME_BLOCKS if self._full else waiting + 2 > QUEUE_BLOCKS
        if self._full:
            self._lost += frames
            return
        if self._lost:
            self._queue.put_nowait(self._lost)
            self._lost = 0
        self._queue.put_nowait(bytes(block))

    def _finish(self) -> None:
        """Note that the stream has ended, and what was lost last; two places in the queue are kept for this."""
        if self._lost:
            self._queue.put_nowait(self._lost)
        self._queue.put_nowait(None)

    def _items(self, keep_going: Callable[[], bool]) -> Iterator[bytes | int]:
        while keep_going():
            try:
                item = self._queue.get(timeout=PATIENCE_S)
            except queue.Empty:
                continue  # whoever reads the pipe decides when silence of the device is too long
            if item is None:
                raise AudioUnavailable(f"{self._device.name}: the device has gone")
            yield item

    def _forward(self, item: bytes | int, shape: Shape, resampler: Any) -> None:
        if isinstance(item, int):
            self._write(frame(Kind.LOST, str(item * SAMPLE_RATE // shape.sample_rate).encode()))
            return
        pcm = np.frombuffer(item, "<i2").reshape(-1, shape.channels)
        if shape.sample_rate == SAMPLE_RATE and shape.channels == 1:
            self._write(frame(Kind.AUDIO, item))
            return
        mono = pcm.mean(axis=1, dtype=np.float32) / 32_768.0
        samples = np.clip(np.rint(resampler.resample_chunk(mono) * 32_768.0), -32_768, 32_767)
        self._write(frame(Kind.AUDIO, samples.astype("<i2").tobytes()))


def frame(kind: Kind, payload: bytes) -> bytes:
    """Return a frame for the pipe."""
    return HEADER.pack(kind.value, len(payload)) + payload


def record(device: str | None, write: Callable[[bytes], object], portaudio: Any = None) -> None:
    """Record until the device or the reader goes away; what went wrong is the last frame."""
    parent = os.getppid()
    try:
        backend = portaudio or load_portaudio()
    except AudioUnavailable as error:
        write(frame(Kind.UNAVAILABLE, str(error).encode()))
        return
    try:
        # A parent that died without a word can be told by the new parent the system gives.
        Recorder(backend, find_input(backend, device), write).run(lambda: os.getppid() == parent)
    except AudioUnavailable as error:
        write(frame(Kind.FAILED, str(error).encode()))


def main() -> None:
    """Record the device named by the first argument (none: the default) to standard output."""
    output = sys.stdout.buffer

    def write(data: bytes) -> None:
        output.write(data)
        output.flush()

    try:
        record(sys.argv[1] if len(sys.argv) > 1 else None, write)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more; closing a stalled stream could take half a minute


if __name__ == "__main__":
    main()
