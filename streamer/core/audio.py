"""From a client's bytes to float32 mono at 16 kHz, the same whatever pieces the network delivers them in. Pure.

Theory of operation. A byte stream is cut into whole frames (one sample of every channel); bytes that are left over at
the end of a message wait for the next one. Frames are decoded, checked, mixed down and resampled. Output sample n
belongs to the time n / 16,000 s: the resampler compensates its own delay, and the number of samples it has put out
after a flush or at the end is the input's length at 16 kHz, rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import gcd

import numpy as np
import soxr
from numpy.typing import NDArray

from model.types import SAMPLE_RATE, Samples

MIN_RATE = 8_000
MAX_RATE = 48_000
"""Hertz; what a client may send."""
MAX_CHANNELS = 8

# Input samples that a restarted resampler is shown again: soxr HQ reaches less than 70 ms to either side (measured).
MEMORY_S = 0.1


class Encoding(StrEnum):
    """How a client writes one sample."""

    PCM_S16LE = "pcm_s16le"
    """Signed 16-bit integers, little endian; full scale is 32,768."""
    PCM_F32LE = "pcm_f32le"
    """32-bit IEEE floats, little endian, in [-1, 1]; what lies beyond is clipped."""
    MULAW = "mulaw"
    """G.711 µ-law, 8 bits."""
    ALAW = "alaw"
    """G.711 A-law, 8 bits."""

    @property
    def sample_bytes(self) -> int:
        """Size of one sample."""
        return {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}[self]


class AudioError(Exception):
    """Audio that means nothing: the message says what and where."""


def mulaw_table() -> Samples:
    """Return what each of the 256 µ-law codes stands for, in [-1, 1]. Source: ITU-T G.711, table 2."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) * 8 + 0x84) << ((code >> 4) & 7).astype(np.int32)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32_768).astype(np.float32)


def alaw_table() -> Samples:
    """Return what each of the 256 A-law codes stands for, in [-1, 1]. Source: ITU-T G.711, table 1."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32) * 16 + 8
    magnitude = np.where(exponent == 0, mantissa, (mantissa + 0x100) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32_768).astype(np.float32)


MULAW = mulaw_table()
ALAW = alaw_table()


class SampleDecoder:
    """Bytes of one encoding and channel count to mono samples at the client's rate."""

    def __init__(self, encoding: Encoding, channels: int, channel: int | None = None) -> None:
        """Channels in [1, MAX_CHANNELS], interleaved; `channel` is the one that is heard, from 0, None their mean."""
        self._encoding = encoding
        self._channels = channels
        self._channel = channel
        self._frame_bytes = encoding.sample_bytes * channels
        self._rest = b""
        self._frames = 0

    @property
    def rest(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._rest)

    @property
    def frames(self) -> int:
        """Frames decoded so far."""
        return self._frames

    def drop_rest(self) -> None:
        """Forget the bytes of a frame that is not complete."""
        self._rest = b""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self._frame_bytes

    def decode(self, data: bytes | memoryview) -> Samples:
        """Return (n,) float32 in [-1, 1] for the frames that `data` completes.

        Raises AudioError for a sample that is not a number or infinite.
        """
        joined = self._rest + data if self._rest else bytes(data)
        whole = len(joined) - len(joined) % self._frame_bytes
        self._rest = joined[whole:]
        samples = self._samples(joined[:whole])
        self._frames += len(samples) // self._channels
        if self._channels == 1:
            return samples
        frames = samples.reshape(-1, self._channels)
        if self._channel is not None:
            return np.ascontiguousarray(frames[:, self._channel])
        return np.asarray(frames.mean(axis=1, dtype=np.float32), dtype=np.float32)

    def _samples(self, data: bytes) -> Samples:
        """Decode whole frames, channels interleaved."""
        match self._encoding:
            case Encoding.PCM_S16LE:
                return np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32_768)
            case Encoding.PCM_F32LE:
                return self._floats(np.frombuffer(data, dtype="<f4"))
            case Encoding.MULAW:
                return MULAW[np.frombuffer(data, dtype=np.uint8)]
            case Encoding.ALAW:
                return ALAW[np.frombuffer(data, dtype=np.uint8)]

    def _floats(self, samples: NDArray[np.float32]) -> Samples:
        """Check and clip. One NaN would spoil a whole 30 s window of log-mel frames, so none gets in."""
        finite = np.isfinite(samples)
        if not finite.all():
            bad = int(np.argmin(finite))
            position = self._frames + bad // self._channels
            raise AudioError(f"samples must be finite numbers, got {samples[bad]} at sample {position} of the stream")
        return np.clip(samples, -1.0, 1.0).astype(np.float32)


class Resampler:
    """Streaming conversion to 16 kHz by soxr (HQ); bit-for-bit the same for any cut of the input.

    A flush must give out everything up to its very sample, although the filter would like to see what comes after:
    the filter is drained as if silence followed. A drained soxr stream cannot go on, so a new one is started, primed
    with the last tenth of a second of input from a place where input and output samples coincide, and what it repeats
    is dropped: neither time nor filter state jumps, only the last few milliseconds before the flush lack their future.
    """

    def __init__(self, rate: int) -> None:
        """`rate` of the input in hertz."""
        self._rate = rate
        step = gcd(rate, SAMPLE_RATE)
        self._period_in, self._period_out = rate // step, SAMPLE_RATE // step
        self._memory = int(rate * MEMORY_S) + self._period_in
        self._history = np.zeros(0, dtype=np.float32)
        self._taken = 0  # input samples since the start of the stream
        self._given = 0  # output samples since the start of the stream
        self._skip = 0  # output samples of the soxr stream that were given out by the one before it
        self._soxr = self._start()

    def resample(self, samples: Samples) -> Samples:
        """Take (n,) float32 at the input rate, return what is ready at 16 kHz."""
        if self._rate == SAMPLE_RATE:
            return samples
        self._taken += len(samples)
        self._history = np.concatenate([self._history, samples])[-self._memory :]
        return self._give(self._soxr.resample_chunk(samples))

    def flush(self) -> Samples:
        """Return all that is left of the input so far; afterwards the stream goes on without a jump in time."""
        if self._rate == SAMPLE_RATE:
            return np.zeros(0, dtype=np.float32)
        tail = self._give(self._soxr.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        wanted = max(0, self._taken - int(self._rate * MEMORY_S))
        begin = wanted - wanted % self._period_in  # here an input and an output sample fall together
        self._skip = self._given - begin // self._period_in * self._period_out
        self._soxr = self._start()
        replay = self._history[len(self._history) - (self._taken - begin) :]
        again = self._give(self._soxr.resample_chunk(replay))
        assert not len(again), "a primed filter holds back more than it has been shown of the future"
        return tail

    def _start(self) -> soxr.ResampleStream:
        return soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def _give(self, output: NDArray[np.float32]) -> Samples:
        """Drop what was given out before a flush, count the rest."""
        fresh = output[self._skip :]
        self._skip -= len(output) - len(fresh)
        self._given += len(fresh)
        return np.ascontiguousarray(fresh, dtype=np.float32)


class AudioDecoder:
    """A client's audio bytes to Samples."""

    def __init__(self, encoding: Encoding, rate: int, channels: int, channel: int | None = None) -> None:
        """Rate in [MIN_RATE, MAX_RATE] hertz; channels and channel as SampleDecoder takes them."""
        self._format = encoding, rate, channels, channel
        self._decoder = SampleDecoder(encoding, channels, channel)
        self._resampler = Resampler(rate)
        self._slice_bytes = self._decoder.frame_bytes * (rate // 2)

    @property
    def rest(self) -> int:
        """Bytes of a sample that is not complete."""
        return self._decoder.rest

    def decode(self, data: bytes) -> Iterator[Samples]:
        """Decode a message in slices of at most half a second, so that its reader can take turns with others.

        Raises AudioError for samples that are no numbers.
        """
        view = memoryview(data)
        for begin in range(0, len(data), self._slice_bytes):
            samples = self._resampler.resample(self._decoder.decode(view[begin : begin + self._slice_bytes]))
            if len(samples):
                yield samples

    def flush(self) -> Samples:
        """Return what the resampler still holds; bytes of an incomplete sample go on waiting."""
        return self._resampler.flush()

    @property
    def frames(self) -> int:
        """Frames taken so far: samples of every channel, at the input's rate."""
        return self._decoder.frames

    def drop_rest(self) -> None:
        """Forget the bytes of a frame that is not complete."""
        self._decoder.drop_rest()

    def anew(self) -> AudioDecoder:
        """Return a decoder for audio that follows no other."""
        return AudioDecoder(*self._format)
