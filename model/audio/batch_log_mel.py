"""Log-mel of many windows at once, on a GPU.

A GPU computes the features of 30 s in less time than it takes to tell it what of them it has computed before, so here
nothing is kept: the samples are gathered in memory that the GPU fetches by itself, and all windows are one transform.
`log_mel.py` is for a CPU, where a transform is dear and a call cheap.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.audio.spectrogram import log_mel_spectrogram, mel_filters, normalize
from model.types import HOP, Samples

WINDOWS = 32
"""Transformed at once: the spectra of so many take 150 MB."""


class BatchLogMel:
    """Frontend of all streams on one device."""

    def __init__(self, n_mels: int, device: torch.device) -> None:
        """n_mels: bands of the model; device: where to compute."""
        self._device = device
        self._filters = mel_filters(n_mels).to(device)

    def windows(self, audio: Sequence[Samples], frames: int) -> Tensor:
        """Return the normalised log-mel of windows, (batch, n_mels, frames) float32.

        audio: each (n,) float32, at most frames * 160 samples; the rest is silence. Equal to WhisperFeatureExtractor on
        the padded windows within 5e-5. Raises ValueError for a window that is too long.
        """
        longest = max(map(len, audio))
        if longest > frames * HOP:
            raise ValueError(f"audio must fit {frames} frames ({frames * HOP} samples), got {longest} samples")
        parts = [audio[first : first + WINDOWS] for first in range(0, len(audio), WINDOWS)]
        return torch.cat([self._transform(part, frames) for part in parts])

    def _transform(self, audio: Sequence[Samples], frames: int) -> Tensor:
        samples = self._upload(audio, frames * HOP)
        return normalize(log_mel_spectrogram(samples, self._filters))

    def _upload(self, audio: Sequence[Samples], length: int) -> Tensor:
        """Put windows on the device, (batch, length), without waiting for it; only what is not silence travels."""
        longest = max(map(len, audio))
        gathered = torch.zeros((len(audio), longest), pin_memory=self._device.type == "cuda")
        rows = gathered.numpy()
        for row, window in zip(rows, audio, strict=True):
            row[: len(window)] = window
        samples = torch.zeros((len(audio), length), device=self._device)
        samples[:, :longest].copy_(gathered, non_blocking=True)
        return samples
