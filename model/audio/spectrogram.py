"""Log-mel spectrograms, as Whisper was trained on them.

Source: Radford et al. 2022, section 2.2; Slaney 1998, Auditory Toolbox, for the mel scale and the filters' area.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from model.types import HOP, SAMPLE_RATE

N_FFT = 400
"""Samples in a frame's Fourier window: 25 ms."""
FLOOR = 1e-10
"""Least power a mel band can have, before the logarithm."""
BLOCK = 6000
"""Frames whose spectra are held at once: those of an hour would take 600 MB."""
TOP = 8000.0
"""Hertz; the highest mel filter ends here."""


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear up to 1 kHz (15 mel), logarithmic above, 27 mel for each factor of 6.4."""
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def mel_filters(n_mels: int, n_fft: int = N_FFT, sampling_rate: int = SAMPLE_RATE) -> Tensor:
    """Return triangular mel filters of equal area, (n_mels, n_fft // 2 + 1) float32, from 0 to 8 kHz.

    Raises ValueError for n_mels or n_fft below 1.
    """
    if n_mels < 1 or n_fft < 2:
        raise ValueError(f"n_mels must be at least 1 and n_fft at least 2, got {n_mels} and {n_fft}")
    top_mel = 15.0 + np.log(TOP / 1000.0) * 27.0 / np.log(6.4)
    corners = _mel_to_hertz(np.linspace(0.0, top_mel, n_mels + 2))
    bins = np.linspace(0.0, sampling_rate // 2, n_fft // 2 + 1)
    widths = np.diff(corners)[:, None]
    rising = (bins - corners[:-2, None]) / widths[:-1]
    falling = (corners[2:, None] - bins) / widths[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (corners[2:] - corners[:-2]))[:, None]
    return torch.from_numpy(filters.astype(np.float32))


def log_mel_power(spectrum: Tensor, filters: Tensor) -> Tensor:
    """Turn complex spectra (..., bins, frames) into log10 mel power (..., n_mels, frames)."""
    return torch.clamp(filters @ spectrum.abs().square(), min=FLOOR).log10()


def log_mel_spectrogram(audio: Tensor, filters: Tensor, hop: int = HOP) -> Tensor:
    """Return the log10 mel power of audio, not yet normalised.

    audio: (..., n) float32, more than n_fft // 2 samples; filters: from `mel_filters`, on the same device.
    Returns (..., n_mels, n // hop): centred Hann frames, reflected at both ends, the last one dropped as in training.
    """
    n_fft = 2 * (filters.shape[1] - 1)
    window = torch.hann_window(n_fft, device=audio.device)
    frames = audio.shape[-1] // hop
    padded = F.pad(audio[None], (n_fft // 2, n_fft // 2), mode="reflect")[0]
    power = audio.new_empty(*audio.shape[:-1], len(filters), frames)
    for first in range(0, frames, BLOCK):
        last = min(first + BLOCK, frames)
        piece = padded[..., first * hop : (last - 1) * hop + n_fft]
        spectrum = torch.stft(piece, n_fft, hop, window=window, center=False, return_complex=True)
        power[..., first:last] = log_mel_power(spectrum, filters)
    return power


def normalize(log_mel: Tensor) -> Tensor:
    """Clamp each window (..., n_mels, frames) to 8 decades below its own maximum, and scale to about [-1, 1]."""
    floor = log_mel.amax(dim=(-2, -1), keepdim=True) - 8.0
    return (torch.maximum(log_mel, floor) + 4.0) / 4.0
