"""From windows of audio to encoder output: features kept per stream, windows of one length encoded together."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.log_mel import IncrementalLogMel
from model.types import HOP, DecodeRequest
from model.whisper import WhisperEncoder

MARGIN_FRAMES = 128
"""1.28 s of silence after the audio. The decoder takes it as the sign to stop: with much less it runs on."""
STEP_FRAMES = 128
"""Dynamic contexts are multiples of this, so that rows of nearly the same length share one batch."""
LEAST_FRAMES = 256
CPU_POSITIONS, GPU_POSITIONS = 1536, 98_304
"""Positions encoded in one pass. On a CPU that is a quarter faster than all rows together: what lies between two layers
stays in the cache, and memory is not taken from the system anew for each operation. On a GPU it bounds memory."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoder output of a batch."""

    audio: Tensor
    """(batch, n_audio_ctx, d_model), zeros after a row's own positions."""
    positions: tuple[int, ...]
    """Positions of each row."""

    def select(self, rows: Sequence[int]) -> Encoded:
        """Return some of the rows, no wider than they need."""
        positions = tuple(self.positions[i] for i in rows)
        index = torch.tensor(rows, device=self.audio.device)
        return Encoded(self.audio[index, : max(positions)], positions)

    @property
    def lengths(self) -> Tensor | None:
        """Positions of each row, (batch,), or None if all have as many."""
        if len(set(self.positions)) == 1:
            return None
        return torch.tensor(self.positions, device=self.audio.device)


class WindowEncoder:
    """Encodes requests; a row's output depends on its own window only."""

    def __init__(self, encoder: WhisperEncoder, n_mels: int, *, dynamic: bool, max_streams: int = 256) -> None:
        """Prepare for n_mels bands.

        dynamic: encode the audio and a margin of silence rather than always 30 s; max_streams: how many streams'
        features are kept, 1 MB each at most; the least recently used are computed anew when they return.
        """
        self._encoder = encoder
        self._n_mels = n_mels
        self._dynamic = dynamic
        self._full = 2 * encoder.embed_positions.num_embeddings
        self._max_streams = max_streams
        self._features: OrderedDict[str, IncrementalLogMel] = OrderedDict()
        weight = encoder.conv1.weight
        self._device, self._dtype = weight.device, weight.dtype
        self._limit = CPU_POSITIONS if self._device.type == "cpu" else GPU_POSITIONS

    def frames(self, samples: int) -> int:
        """Return the frames of context for that much audio; the rest of them is silence, never a mask."""
        if not self._dynamic:
            return self._full
        wanted = -(-samples // HOP) + MARGIN_FRAMES
        return min(max(-(-wanted // STEP_FRAMES) * STEP_FRAMES, LEAST_FRAMES), self._full)

    def forget(self, stream: str) -> None:
        """Drop the features of a stream."""
        self._features.pop(stream, None)

    @torch.inference_mode()
    def encode(self, batch: Sequence[DecodeRequest]) -> Encoded:
        """Encode the windows of a batch."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for row, request in enumerate(batch):
            groups[self.frames(len(request.audio))].append(row)
        widest = max(groups) // 2
        outputs: list[Tensor] = [torch.empty(0)] * len(batch)
        for frames, rows in groups.items():
            windows = torch.stack([self._window(batch[row], frames) for row in rows]).to(self._dtype)
            size = max(1, self._limit * 2 // frames)
            encoded = [output for part in torch.split(windows, size) for output in self._encoder.encode(part)]
            for row, output in zip(rows, encoded, strict=True):
                outputs[row] = F.pad(output, (0, 0, 0, widest - len(output)))
        positions = tuple(self.frames(len(request.audio)) // 2 for request in batch)
        return Encoded(torch.stack(outputs), positions)

    def _window(self, request: DecodeRequest, frames: int) -> Tensor:
        """Return the log-mel of a request's window, (n_mels, frames)."""
        features = self._features.pop(request.stream, None)
        if features is None:
            features = IncrementalLogMel(self._n_mels, self._device)
            while len(self._features) >= self._max_streams:
                self._features.popitem(last=False)
        self._features[request.stream] = features
        return features.window(request.start, request.audio, frames)
