"""One recording of one device: PortAudio's blocks in, frames for the pipe out, and nothing lost without a word."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import soxr

from model.types import SAMPLE_RATE
from streamer.capture.frames import Frame, Kind
from streamer.capture.portaudio import AudioUnavailable, InputDevice
from streamer.capture.rate_guard import RateGuard

BLOCKS_PER_SECOND = 50
QUEUE_BLOCKS = 10 * BLOCKS_PER_SECOND
"""Ten seconds wait at most for a reader that is slow; what comes on top is counted and reported as LOST."""
RESUME_BLOCKS = QUEUE_BLOCKS // 2
"""A full queue takes blocks again when half of it has been read: one long gap is better than a hundred in a row."""
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """How a device is opened."""

    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Item:
    """What PortAudio's thread hands over."""

    time: float
    block: bytes = b""
    lost: int = 0
    """Frames that are missing here, where there is no block."""
    complaint: str = ""
    """Why nothing follows."""


class Recorder:
    """One recording of one device, from opening it to losing it."""

    def __init__(
        self,
        portaudio: Any,
        device: InputDevice,
        write: Callable[[bytes], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._portaudio = portaudio
        self._device = device
        self._write = write
        self._clock = clock
        # Filled by PortAudio's thread; two places are kept for what is lost last and the end.
        self._queue: queue.Queue[Item] = queue.Queue(QUEUE_BLOCKS + 2)
        self._lost = 0
        self._full = False
        self._over = False
        self._heard: float | None = None  # when the last block came

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Record until the device goes away or `keep_going` says no; it is asked about twice a second or more.

        Raises AudioUnavailable if the device cannot be opened, has stopped by itself, or runs faster than time.
        """
        shape = self._shape()
        resampler = soxr.ResampleStream(shape.sample_rate, SAMPLE_RATE, 1, dtype="float32")
        self._rate = shape.sample_rate
        self._guard = RateGuard(shape.sample_rate, self._clock())
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
                self._write(Frame(Kind.OPENED, self._device.name.encode(), self._clock()).pack())
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
        if self._over:
            return
        now = self._clock()
        if not self._guard.receive(frames, now):
            self._end("sound comes faster than real time; this is no microphone", now)
            return
        if status.input_overflow:
            self._lost += self._overflown(frames, now)
        self._heard = now
        waiting = self._queue.qsize()
        self._full = waiting > RESUME_BLOCKS if self._full else waiting + 2 > QUEUE_BLOCKS
        if self._full:
            self._lost += frames
            return
        if self._lost:
            self._queue.put_nowait(Item(now - frames / self._rate, lost=self._lost))
            self._lost = 0
        self._queue.put_nowait(Item(now, bytes(block)))

    def _overflown(self, frames: int, now: float) -> int:
        """Estimate what an overflow has cost, which PortAudio does not say: the time that no block tells of."""
        silent = 0.0 if self._heard is None else now - self._heard
        return max(frames, round(silent * self._rate) - frames)

    def _finish(self) -> None:
        """Note that the stream has ended by itself."""
        self._end("the device has gone", self._clock())

    def _end(self, complaint: str, now: float) -> None:
        """Say what was lost last, and why nothing follows."""
        if self._over:
            return
        self._over = True
        if self._lost:
            self._queue.put_nowait(Item(now, lost=self._lost))
        self._queue.put_nowait(Item(now, complaint=complaint))

    def _items(self, keep_going: Callable[[], bool]) -> Iterator[Item]:
        while keep_going():
            try:
                item = self._queue.get(timeout=PATIENCE_S)
            except queue.Empty:
                continue  # whoever reads the pipe decides when silence of the device is too long
            if item.complaint:
                raise AudioUnavailable(f"{self._device.name}: {item.complaint}")
            yield item

    def _forward(self, item: Item, shape: Shape, resampler: Any) -> None:
        if item.lost:
            lost = str(item.lost * SAMPLE_RATE // shape.sample_rate).encode()
            self._write(Frame(Kind.LOST, lost, item.time).pack())
            return
        if shape.sample_rate == SAMPLE_RATE and shape.channels == 1:
            self._write(Frame(Kind.AUDIO, item.block, item.time).pack())
            return
        pcm = np.frombuffer(item.block, "<i2").reshape(-1, shape.channels)
        mono = pcm.mean(axis=1, dtype=np.float32) / 32_768.0
        samples = np.clip(np.rint(resampler.resample_chunk(mono) * 32_768.0), -32_768, 32_767)
        self._write(Frame(Kind.AUDIO, samples.astype("<i2").tobytes(), item.time).pack())
