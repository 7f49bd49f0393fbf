"""Shared memory for the samples of one batch.

It is a file without a name (memfd_create(2)), handed to the child as a descriptor: the kernel frees it when both sides
are gone, however they went. Pages that were never written take no memory.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from model.types import WINDOW_SAMPLES, Samples
from streamer.processes.memory_file import memory_file

ITEM = np.dtype(np.float32).itemsize


class Block:
    """Room for the windows of a batch. One side puts arrays in, the other takes copies out."""

    def __init__(self, descriptor: int, windows: int) -> None:
        """Map what `anonymous_file` has made; the descriptor may be closed afterwards. windows: the largest batch."""
        self._map = mmap.mmap(descriptor, windows * WINDOW_SAMPLES * ITEM)
        self._samples = np.frombuffer(self._map, dtype=np.float32)
        self._used = 0

    def clear(self) -> None:
        """Begin a new batch."""
        self._used = 0

    def close(self) -> None:
        """Let go of the memory at once: a traceback that still refers to this must not keep it."""
        self._samples = np.empty(0, dtype=np.float32)
        self._map.close()

    def put(self, audio: Any) -> tuple[int, int]:
        """Copy (n,) float32 samples in; return where they are and how many. An encoder's hook.

        Raises TypeError for what is no array, ValueError for another shape or type, or if there is no room.
        """
        if not isinstance(audio, np.ndarray):
            raise TypeError(f"a message holds no {type(audio).__name__}")
        if audio.ndim != 1 or audio.dtype != np.float32:
            raise ValueError(f"audio must be (n,) float32, got {audio.shape} {audio.dtype}")
        start, end = self._used, self._used + len(audio)
        if end > len(self._samples):
            raise ValueError(f"a batch must have at most {len(self._samples)} samples, got more")
        self._samples[start:end] = audio
        self._used = end
        return start, len(audio)

    def take(self, kind: type, place: Any) -> Samples:
        """Return a copy of what `put` has put there; a decoder's hook."""
        del kind
        start, count = place
        return self._samples[start : start + count].copy()


def anonymous_file(windows: int) -> int:
    """Make a file without a name for so many windows; return its descriptor, which no child inherits by itself."""
    descriptor = memory_file("streamer-audio")
    os.ftruncate(descriptor, windows * WINDOW_SAMPLES * ITEM)
    return descriptor
