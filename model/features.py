"""Log-mel features of whole recordings, as Whisper was trained on them.

Source: Radford et al. 2022, section 2.2; Slaney 1998, Auditory Toolbox, for the mel scale and the filters' area.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import ModelError
from model.types import HOP, SAMPLE_RATE, Samples

N_FFT = 400
"""Samples in a frame's Fourier window: 25 ms."""
FLOOR = 1e-10
"""Least power a mel band can have, before the logarithm."""
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
    spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True)
    return log_mel_power(spectrum[..., :-1], filters)


def normalize(log_mel: Tensor) -> Tensor:
    """Clamp each window (..., n_mels, frames) to 8 decades below its own maximum, and scale to about [-1, 1]."""
    floor = log_mel.amax(dim=(-2, -1), keepdim=True) - 8.0
    return (torch.maximum(log_mel, floor) + 4.0) / 4.0


class BatchFeature(dict[str, Any]):
    """Named model inputs; each is also an attribute."""

    def __getattr__(self, name: str) -> Any:
        """Return the input called `name`."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class WhisperFeatureExtractor:
    """Recordings to padded log-mel windows; parameters are the fields of `preprocessor_config.json`."""

    def __init__(  # noqa: PLR0917  # the order of the reference
        self,
        feature_size: int = 80,
        sampling_rate: int = SAMPLE_RATE,
        hop_length: int = HOP,
        chunk_length: int = 30,
        n_fft: int = N_FFT,
        padding_value: float = 0.0,
        dither: float = 0.0,
        return_attention_mask: bool = False,
    ) -> None:
        """feature_size: mel bands; chunk_length: seconds; dither: standard deviation of added noise."""
        for name, value in (
            ("feature_size", feature_size), ("sampling_rate", sampling_rate), ("hop_length", hop_length),
            ("chunk_length", chunk_length), ("n_fft", n_fft),
        ):  # fmt: skip
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        self.feature_size = feature_size
        self.sampling_rate = sampling_rate
        self.hop_length = hop_length
        self.chunk_length = chunk_length
        self.n_fft = n_fft
        self.padding_value = padding_value
        self.dither = dither
        self.return_attention_mask = return_attention_mask
        self.n_samples = chunk_length * sampling_rate
        self.nb_max_frames = self.n_samples // hop_length
        self.mel_filters = mel_filters(feature_size, n_fft, sampling_rate)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a `preprocessor_config.json`, or a `processor_config.json` that holds one. Raises ModelError."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values = values.get("feature_extractor", values)
            known = (
                "feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft", "padding_value", "dither",
                "return_attention_mask",
            )  # fmt: skip
            return cls(**{name: values[name] for name in known if values.get(name) is not None})
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is not a feature extractor's configuration: {error}") from error

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read the configuration in a model folder. Raises ModelError if there is none."""
        for name in ("preprocessor_config.json", "processor_config.json"):
            if (path := Path(folder) / name).is_file():
                return cls.from_file(path)
        raise ModelError(f"{folder} holds no preprocessor_config.json")

    def __call__(  # noqa: PLR0917  # the order of the reference
        self,
        raw_speech: Samples | Sequence[float] | Sequence[Samples] | Sequence[Sequence[float]],
        truncation: bool = True,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        padding: str | bool = "max_length",
        max_length: int | None = None,
        sampling_rate: int | None = None,
        do_normalize: bool | None = None,
        device: str = "cpu",
    ) -> BatchFeature:
        """Extract features of one recording or of several.

        padding: "max_length" (max_length samples, 30 s if None), "longest" or True, "do_not_pad" or False;
        truncation: cut at max_length; do_normalize: zero mean and unit variance first; return_tensors: "pt" or "np".
        Returns input_features (batch, feature_size, frames) float32 and, if asked, attention_mask (batch, frames).
        Raises ValueError for another sampling rate, more than one channel, or lengths that make no rectangle.
        """
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise ValueError(f"sampling_rate must be {self.sampling_rate}, got {sampling_rate}")
        if return_tensors not in {None, "pt", "np"}:
            raise ValueError(f'return_tensors must be "pt", "np" or None, got {return_tensors!r}')
        limit = max_length or self.n_samples
        if pad_to_multiple_of:
            limit = -(-limit // pad_to_multiple_of) * pad_to_multiple_of
        rows = [row[:limit] if truncation else row for row in _rows(raw_speech)]
        length = _padded_length(rows, padding, limit, pad_to_multiple_of)
        audio = np.full((len(rows), length), self.padding_value, dtype=np.float32)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for at, row in enumerate(rows):
            audio[at, : len(row)] = _standardize(row) if do_normalize else row
            mask[at, : len(row)] = 1
        features = self._extract(torch.from_numpy(audio).to(device)).cpu()
        keep = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        batch: dict[str, Tensor] = {"input_features": features}
        if keep:
            # One entry a frame; the last frame of a length that is no multiple of the hop was dropped.
            batch["attention_mask"] = torch.from_numpy(mask[:, :: self.hop_length][:, : features.shape[-1]].copy())
        return BatchFeature(batch if return_tensors == "pt" else {name: x.numpy() for name, x in batch.items()})

    def _extract(self, audio: Tensor) -> Tensor:
        """(batch, n) -> normalised (batch, feature_size, n // hop_length)."""
        if self.dither:
            audio = audio + self.dither * torch.randn_like(audio)
        return normalize(log_mel_spectrogram(audio, self.mel_filters.to(audio.device), self.hop_length))


def _rows(speech: Any) -> list[Samples]:
    """Take one recording or several apart into mono rows."""
    if isinstance(speech, np.ndarray):
        if speech.ndim > 2:
            raise ValueError(f"only mono audio is supported, got an array of {speech.ndim} dimensions")
        several = speech.ndim == 2
    else:
        if len(speech) == 0:
            raise ValueError("no audio was given")
        several = isinstance(speech[0], (np.ndarray, list, tuple))
    rows = [np.asarray(row, dtype=np.float32) for row in (speech if several else [speech])]
    for row in rows:
        if row.ndim != 1:
            raise ValueError(f"only mono audio is supported, got a row of shape {row.shape}")
    return rows


def _padded_length(rows: Sequence[Samples], padding: str | bool, limit: int, multiple: int | None) -> int:
    """Say how long every row becomes. Raises ValueError if a row would not fit."""
    longest = max(len(row) for row in rows)
    match padding:
        case "max_length":
            length = limit
        case "longest" | True:
            length = -(-longest // multiple) * multiple if multiple else longest
        case "do_not_pad" | False:
            length = longest
            if any(len(row) != longest for row in rows):
                raise ValueError("rows of different lengths need padding, got padding='do_not_pad'")
        case _:
            raise ValueError(f'padding must be "max_length", "longest" or "do_not_pad", got {padding!r}')
    if longest > length:
        if len(rows) > 1 and any(len(row) != longest for row in rows):
            raise ValueError(f"without truncation all rows must fit max_length {length}, got one of {longest} samples")
        length = longest
    return length


def _standardize(row: Samples) -> Samples:
    """Give the row zero mean and unit variance."""
    scaled: Samples = (row - row.mean()) / np.sqrt(row.var() + 1e-7)
    return scaled
