"""From windows of audio to encoder output: features kept per stream, windows of one length encoded together.

Theory of operation. Whisper was trained on 30 s. A dynamic context is the audio and a margin of true silence, as many
positions as the next multiple of STEP_FRAMES holds: silence, not a mask, is what marks the end of speech in training.
It saves most of the work and is a risk: weights that know 30 s only may run on or repeat themselves, so that it has to
be asked for, what looks like it is decoded again with 30 s (`guards.py`), and so are finals (`attempts.py`).

A context follows from the length of the window alone, so that an answer depends on its request alone. That is
hysteresis enough: a window only grows until its front is trimmed, so its context never goes back and forth between two
sizes, and it grows at one update in three or four. On the demo model what was heard before stood in 124 of 124 updates
at which the context grew, and in 284 of 285 others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.decoding.reuse import EncoderReuse
from model.decoding.room import room_on
from model.decoding.window_features import Window, WindowFeatures
from model.layers.window_memory import AttentionMemory
from model.types import HOP, DecodeRequest
from model.whisper import WhisperEncoder, WhisperModel

MARGIN_FRAMES = 128
"""Silence after the audio at the least: 64 positions, 1.28 s. The decoder takes it as the sign to stop: with much less
it runs on."""
STEP_FRAMES = 128
"""Dynamic contexts are multiples of this, 64 positions, so that rows of nearly the same length share one pass."""
LEAST_FRAMES = 256
CPU_POSITIONS, GPU_POSITIONS = 1536, 24_576
"""Positions encoded in one pass. On a CPU that is a quarter faster than all rows together: what lies between two layers
stays in the cache, and memory is not taken from the system anew for each operation. A GPU is fully used by a quarter as
many as these; more would only take memory, 1 GB so many with the widest models."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Encoder output of a batch."""

    audio: Tensor
    """(batch, n_audio_ctx, d_model), zeros after a row's own positions."""
    positions: tuple[int, ...]
    """Positions of each row."""

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Encoded:
        """Put rows, each (positions, d_model), into one batch as wide as the longest."""
        positions = tuple(len(row) for row in rows)
        if len(set(positions)) == 1:
            return cls(torch.stack(list(rows)), positions)
        audio = rows[0].new_zeros(len(rows), max(positions), rows[0].shape[1])
        for place, row in zip(audio, rows, strict=True):
            place[: len(row)] = row
        return cls(audio, positions)

    @property
    def lengths(self) -> Tensor | None:
        """Positions of each row, (batch,), or None if all have as many."""
        if len(set(self.positions)) == 1:
            return None
        return torch.tensor(self.positions, device=self.audio.device)


class EncodedWindow(NamedTuple):
    """Encoder output of one request."""

    audio: Tensor
    """(positions, d_model), good until the same stream is encoded again."""
    computed: int
    """Positions that were computed for it: fewer than it has where others were known, more where earlier updates had
    to be heard."""
    known: AttentionMemory | None = None
    """What the decoder has made of it already."""


def frames_with_margin(samples: int) -> int:
    """Return how many frames hold that much audio and a margin of silence after it."""
    wanted = -(-samples // HOP) + MARGIN_FRAMES
    return max(-(-wanted // STEP_FRAMES) * STEP_FRAMES, LEAST_FRAMES)


class WindowEncoder:
    """Encodes requests; a row's output depends on its own request only."""

    def __init__(
        self,
        encoder: WhisperEncoder,
        n_mels: int,
        *,
        dynamic: bool,
        reuse_for: WhisperModel | None = None,
        max_streams: int = 256,
        compiled: bool = False,
    ) -> None:
        """Prepare for n_mels bands.

        dynamic: encode the audio and a margin of silence rather than always 30 s; reuse_for: the network it is part of,
        if positions of a window are to be left as they were where that changes little (`reuse.py`); max_streams: how
        many streams' features are kept.
        compiled: run the encoder under torch.compile, for batches and contexts of any size, but for parts of windows.
        """
        self._encode = torch.compile(encoder.encode, dynamic=True) if compiled else encoder.encode
        self._dynamic = dynamic
        self._full = 2 * encoder.embed_positions.num_embeddings
        weight = encoder.conv1.weight
        self._features = WindowFeatures(n_mels, weight, max_streams)
        self._limit = CPU_POSITIONS if weight.device.type == "cpu" else GPU_POSITIONS
        self._reuse: EncoderReuse | None = None
        if reuse_for is not None:
            room = room_on(weight.device)
            self._reuse = EncoderReuse(reuse_for, self._features, self.frames, self._limit, room)

    def frames(self, samples: int, *, full: bool = False) -> int:
        """Return the frames of context for that much audio; the rest of them is silence, never a mask.

        full: 30 s whatever the setting.
        """
        return self._full if full or not self._dynamic else min(frames_with_margin(samples), self._full)

    def truncates(self, samples: int) -> bool:
        """Say whether that much audio is encoded with less than 30 s of context."""
        return self.frames(samples) < self._full

    def spares(self, request: DecodeRequest) -> bool:
        """Say whether a request is encoded with less work than it could be: less context, or positions known before."""
        if self.truncates(len(request.audio)):
            return True
        return self._reuse is not None and not request.final and self._reuse.spares(request)

    def forget(self, stream: str) -> None:
        """Drop what is kept of a stream."""
        self._features.forget(stream)
        if self._reuse is not None:
            self._reuse.forget(stream)

    @torch.inference_mode()
    def encode(self, batch: Sequence[DecodeRequest], full: Sequence[bool] | None = None) -> list[EncodedWindow]:
        """Encode the windows of a batch.

        full: which of them to give 30 s of context whatever the setting, and nothing known before; None for none.
        """
        whole = full or [False] * len(batch)
        outputs: list[EncodedWindow | None] = [None] * len(batch)
        for row, window in self._grown(batch, whole):
            outputs[row] = window
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for row, request in enumerate(batch):
            if outputs[row] is None:
                groups[self.frames(len(request.audio), full=whole[row])].append(row)
        for frames, rows in groups.items():
            windows = self._features([Window.of(batch[row]) for row in rows], frames)
            size = max(1, self._limit * 2 // frames)
            encoded = [output for part in torch.split(windows, size) for output in self._encode(part)]
            for row, output in zip(rows, encoded, strict=True):
                outputs[row] = EncodedWindow(output, len(output))
        return [output for output in outputs if output is not None]

    def _grown(self, batch: Sequence[DecodeRequest], whole: Sequence[bool]) -> Iterator[tuple[int, EncodedWindow]]:
        """Yield the place and output of every window that is encoded in parts; whole: which must not be."""
        if self._reuse is None:
            return
        for request in batch:
            if request.final:  # nothing will be asked about its window again
                self._reuse.forget(request.stream)
        rows = [row for row, request in enumerate(batch) if not (whole[row] or request.final)]
        planned = zip(rows, self._reuse.plan([batch[row] for row in rows]), strict=True)
        tracks = {row: track for row, track in planned if track is not None}
        for (row, track), memory in zip(tracks.items(), self._reuse.encode(list(tracks.values())), strict=True):
            yield row, EncodedWindow(memory.output, track.computed, memory.cross)
