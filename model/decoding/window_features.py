"""Log-mel of windows of many streams, kept per stream where that saves work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.audio.batch_log_mel import BatchLogMel
from model.audio.log_mel import IncrementalLogMel
from model.types import DecodeRequest, Samples


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Audio of a stream that is heard together."""

    stream: str
    start: int
    """Sample index of audio[0]; a multiple of HOP."""
    audio: Samples

    @classmethod
    def of(cls, request: DecodeRequest, end: int | None = None) -> Window:
        """Return a request's window, or its part up to sample index `end`."""
        return cls(request.stream, request.start, request.audio[: None if end is None else end - request.start])


class WindowFeatures:
    """Frontend of all streams; what it says of a window depends on that window only."""

    def __init__(self, n_mels: int, like: Tensor, max_streams: int) -> None:
        """like: has the device and type that are wanted; max_streams: how many streams' frames are kept, 1 MB each.

        The least recently used are computed anew when they return.
        """
        self._n_mels = n_mels
        self._max_streams = max_streams
        self._device, self._dtype = like.device, like.dtype
        self._streams: OrderedDict[str, IncrementalLogMel] = OrderedDict()
        self._batched = None if self._device.type == "cpu" else BatchLogMel(n_mels, self._device)

    def forget(self, stream: str) -> None:
        """Drop what is kept of a stream."""
        self._streams.pop(stream, None)

    def __call__(self, windows: Sequence[Window], frames: int) -> Tensor:
        """Return the log-mel of windows, (batch, n_mels, frames), silence behind their audio."""
        if self._batched is not None:
            return self._batched.windows([window.audio for window in windows], frames).to(self._dtype)
        return torch.stack([self._one(window, frames) for window in windows]).to(self._dtype)

    def _one(self, window: Window, frames: int) -> Tensor:
        """Return the log-mel of a window, (n_mels, frames)."""
        features = self._streams.pop(window.stream, None)
        if features is None:
            features = IncrementalLogMel(self._n_mels, self._device)
            while len(self._streams) >= self._max_streams:
                self._streams.popitem(last=False)
        self._streams[window.stream] = features
        return features.window(window.start, window.audio, frames)
