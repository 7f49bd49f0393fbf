"""Log-mel of a window that grows at its end and is trimmed at its start, computing each frame once.

A frame needs 400 samples around its centre. Where all of them are real audio the frame depends on nothing else and is
kept by its absolute index. The frames at the window's ends depend on where the window is cut (reflection at the start,
zero padding at the end, reflection there when the window is full): they are computed anew each time and never kept.
Clamp and scaling depend on the loudest frame of the window, so what is kept is the plain logarithm.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.audio.spectrogram import FLOOR, N_FFT, log_mel_power, mel_filters, normalize
from model.types import HOP, WINDOW_SAMPLES, Samples

MAX_FRAMES = WINDOW_SAMPLES // HOP
"""3000: 30 s, the longest window."""
HALF = N_FFT // 2
"""Samples a frame reaches to either side of its centre, 160 * index."""
FIRST_INTERIOR = -(-HALF // HOP)
"""2: the first frame of a window that does not touch its start."""


class IncrementalLogMel:
    """Frontend of one stream. Samples at an absolute index never change; windows usually move forward.

    Memory is one ring of 30 s of frames, whatever the length of the stream.
    """

    def __init__(self, n_mels: int, device: torch.device | str = "cpu") -> None:
        """n_mels: bands of the model; device: where the features are wanted."""
        self.device = torch.device(device)
        self.computed_frames = 0
        """Frames computed since the start, for tests and metrics."""
        self._filters = mel_filters(n_mels).to(self.device)
        self._hann = torch.hann_window(N_FFT, device=self.device)
        self._silence = float(torch.tensor(FLOOR).log10())
        self._ring = torch.empty((n_mels, MAX_FRAMES), device=self.device)
        self._first = 0
        """Absolute index of the first frame kept; frame f lies in column f % MAX_FRAMES."""
        self._end = 0

    def window(self, start: int, audio: Samples, frames: int) -> Tensor:
        """Return the normalised log-mel of a window, (n_mels, frames) float32.

        start: absolute index of audio[0], a multiple of 160; frames: length of the window with its zero padding, in
        2..3000, not shorter than the audio. Equal to WhisperFeatureExtractor on the padded window within 5e-5.
        Raises ValueError for anything else.
        """
        self._check(start, audio, frames)
        n = len(audio)
        # Frames whose 400 samples are all real, and the first frame that hears padding only.
        interior_end = max(FIRST_INTERIOR, min((n - HALF) // HOP + 1, frames))
        silent = min(-(-(n + HALF) // HOP), frames)
        offset = start // HOP
        missing = self._missing(offset + FIRST_INTERIOR, offset + interior_end)
        ranges = [(0, FIRST_INTERIOR), (interior_end, silent), *[(a - offset, b - offset) for a, b in missing]]
        pieces = self._compute(audio, frames * HOP, ranges)
        for (a, b), piece in zip(missing, pieces[2:], strict=True):
            self._write(a, b, piece)
        self._keep(offset + FIRST_INTERIOR, offset + interior_end)
        out = torch.full((len(self._ring), frames), self._silence, device=self.device)
        out[:, :FIRST_INTERIOR] = pieces[0]
        out[:, interior_end : max(silent, interior_end)] = pieces[1]
        self._read(offset + FIRST_INTERIOR, out[:, FIRST_INTERIOR:interior_end])
        return normalize(out)

    @staticmethod
    def _check(start: int, audio: Samples, frames: int) -> None:
        """Refuse a window that cannot be."""
        if start < 0 or start % HOP:
            raise ValueError(f"start must be a multiple of {HOP} and not negative, got {start}")
        if not 2 <= frames <= MAX_FRAMES:
            raise ValueError(f"frames must be in 2..{MAX_FRAMES}, got {frames}")
        if audio.ndim != 1 or audio.dtype != np.float32:
            raise ValueError(f"audio must be float32 (n,), got {audio.dtype} {audio.shape}")
        if len(audio) > frames * HOP:
            raise ValueError(f"audio must fit {frames} frames ({frames * HOP} samples), got {len(audio)} samples")

    def _missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """List the ranges of frames in [first, end) that are not kept."""
        # Before those kept and after them; a jump makes one of the two the whole range.
        wanted = [(first, min(self._first, end)), (max(self._end, first), end)]
        return [(a, b) for a, b in wanted if a < b]

    def _keep(self, first: int, end: int) -> None:
        """Remember that the ring now holds [first, end) and, where it joins on, what it held after it."""
        joined = self._first <= end and self._end > end
        self._end = min(self._end, first + MAX_FRAMES) if joined else end
        self._first = first

    def _write(self, first: int, end: int, values: Tensor) -> None:
        """Put frames [first, end) into their columns."""
        head = min(end - first, MAX_FRAMES - first % MAX_FRAMES)
        at = first % MAX_FRAMES
        self._ring[:, at : at + head] = values[:, :head]
        self._ring[:, : end - first - head] = values[:, head:]

    def _read(self, first: int, out: Tensor) -> None:
        """Copy the frames from `first` on into `out`."""
        count = out.shape[1]
        at = first % MAX_FRAMES
        head = min(count, MAX_FRAMES - at)
        out[:, :head] = self._ring[:, at : at + head]
        out[:, head:] = self._ring[:, : count - head]

    def _compute(self, audio: Samples, length: int, ranges: list[tuple[int, int]]) -> list[Tensor]:
        """Compute ranges of window-relative frames in one transform; `length` is the padded window's, in samples."""
        counts = [max(0, end - first) for first, end in ranges]
        self.computed_frames += sum(counts)
        samples = [
            torch.from_numpy(_padded(audio, length, first * HOP - HALF, (end - 1) * HOP + HALF)).to(self.device)
            for first, end in ranges
            if first < end
        ]
        framed = torch.cat([piece.unfold(0, N_FFT, HOP) for piece in samples])
        spectrum = torch.fft.rfft(framed * self._hann)
        return list(torch.split(log_mel_power(spectrum.T, self._filters), counts, dim=1))


def _padded(audio: Samples, length: int, first: int, end: int) -> Samples:
    """Copy samples [first, end) of the audio padded with zeros to `length` and reflected beyond both ends."""
    n = len(audio)
    if first >= 0 and end <= n:
        return audio[first:end].copy()
    index = np.abs(np.arange(first, end))
    index = np.where(index >= length, 2 * (length - 1) - index, index)
    real = index < n
    out = np.zeros(end - first, dtype=np.float32)
    out[real] = audio[index[real]]
    return out
