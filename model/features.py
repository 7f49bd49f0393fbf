"""Log-mel features of whole recordings.

Source: transformers feature_extraction_whisper.py, whose names, defaults and results these are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from model.audio.audio_padding import by_name, cut_rows, fill_rows, mono_rows, rectangle, single_precision, standardize
from model.audio.spectrogram import N_FFT, log_mel_spectrogram, mel_filters, normalize
from model.batch import TENSORS, BatchFeature
from model.config import ModelError
from model.files.hub import OPTIONS, resolve_files
from model.files.json_file import read_json
from model.text.token_padding import Padding
from model.types import HOP, SAMPLE_RATE, Samples

FILE = "preprocessor_config.json"
MASK = "attention_mask"
PROCESSOR_FILE = "processor_config.json"
SIZES = ("feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft")
FIELDS = (*SIZES, "padding_value", "dither", "return_attention_mask", "padding_side")
DERIVED = ("n_samples", "nb_max_frames", "feature_extractor_type", "processor_class")
"""Fields of the file that follow from the others."""

logger = logging.getLogger(__name__)


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
        *,
        padding_side: str = "right",
        **others: Any,
    ) -> None:
        """feature_size: mel bands; chunk_length: seconds; dither: standard deviation of added noise.

        others: fields that are kept for `save_pretrained`. Raises ValueError for a size that cannot be.
        """
        self.feature_size = feature_size
        self.sampling_rate = sampling_rate
        self.hop_length = hop_length
        self.chunk_length = chunk_length
        self.n_fft = n_fft
        self.padding_value = padding_value
        self.dither = dither
        self.return_attention_mask = return_attention_mask
        self.padding_side = padding_side
        for name in SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if padding_side not in {"left", "right"}:
            raise ValueError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
        self.others = {name: value for name, value in others.items() if name not in DERIVED}
        self.model_input_names = ["input_features"]
        self.n_samples = chunk_length * sampling_rate
        self.nb_max_frames = self.n_samples // hop_length
        self.mel_filters = mel_filters(feature_size, n_fft, sampling_rate)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Path | str, *, return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """Read the configuration of a folder, a file or a hub model; needs no weights.

        kwargs: fields to set otherwise, and `cache_dir`, `token`, `revision`, `subfolder`, `force_download`,
        `local_files_only`; those that are none of the file's are left out, and returned beside the extractor if
        return_unused_kwargs. Raises ModelError.
        """
        options = {name: kwargs.pop(name) for name in OPTIONS if name in kwargs}
        path = resolve_files(pretrained_model_name_or_path, (FILE, PROCESSOR_FILE), **options)
        values = _read(path) if path.is_file() else _read_folder(path)
        try:
            return cls.from_dict(values, return_unused_kwargs=return_unused_kwargs, **kwargs)
        except (ValueError, TypeError) as error:
            raise ModelError(f"{path}: {FILE} is not a feature extractor's configuration: {error}") from error

    @classmethod
    def from_dict(
        cls, feature_extractor_dict: Mapping[str, Any], *, return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """Build from the contents of a file, with the fields in kwargs that it has set otherwise. Raises ValueError."""
        known = {name: kwargs.pop(name) for name in (*feature_extractor_dict, *FIELDS) if name in kwargs}
        values = {name: value for name, value in feature_extractor_dict.items() if value is not None}
        extractor = cls(**values | known)
        return (extractor, kwargs) if return_unused_kwargs else extractor

    @classmethod
    def from_json_file(cls, json_file: Path | str) -> Self:
        """Read a `preprocessor_config.json`. Raises ModelError."""
        extractor: Self = cls.from_pretrained(json_file)
        return extractor

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of `preprocessor_config.json`."""
        fields = {name: getattr(self, name) for name in (*FIELDS, "n_samples", "nb_max_frames")}
        return self.others | fields | {"feature_extractor_type": "WhisperFeatureExtractor"}

    def to_json_string(self) -> str:
        """Return the text of `preprocessor_config.json`."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: Path | str, push_to_hub: bool = False) -> list[str]:
        """Write `preprocessor_config.json` and return its path. Raises ValueError for pushing to the hub."""
        if push_to_hub:
            raise ValueError("push_to_hub must be False; upload the folder with `hf upload`")
        path = Path(save_directory) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json_string(), encoding="utf-8")
        return [str(path)]

    def __repr__(self) -> str:
        """Show the configuration."""
        return f"{type(self).__name__} {self.to_json_string()}"

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
        device: str | torch.device = "cpu",
        **kwargs: Any,  # noqa: ARG002  # the reference documents that it takes them and looks at none
    ) -> BatchFeature:
        """Extract features of one recording or of several.

        padding: "max_length" (max_length samples, 30 s if None), "longest" or True, "do_not_pad" or False;
        truncation: cut at max_length; do_normalize: zero mean and unit variance first; return_tensors: "pt" or "np";
        device: where to compute; kwargs: not looked at, a processor hands the tokenizer's options to both.
        Returns input_features (batch, feature_size, frames) float32 and, if asked, attention_mask (batch, frames).
        Raises ValueError for another sampling rate, more than one channel, or lengths that make no rectangle.
        """
        self._check_rate(sampling_rate)
        if return_tensors not in {None, *TENSORS}:
            raise ValueError(f'return_tensors must be "pt", "np" or None, got {return_tensors!r}')
        limit = max_length or self.n_samples
        rows = mono_rows(raw_speech)
        rows = cut_rows(rows, limit, pad_to_multiple_of) if truncation else rows
        rows = [standardize(row) for row in rows] if do_normalize else rows
        rows, masks = self._fill(rows, padding, limit, pad_to_multiple_of)
        audio = rectangle(rows)
        if audio.shape[1] <= self.n_fft // 2:
            raise ValueError(f"audio must have more than {self.n_fft // 2} samples, got {audio.shape[1]}: pad it")
        features = self._extract(torch.from_numpy(audio.astype(np.float32)).to(device)).cpu()
        batch: dict[str, Any] = {"input_features": features.numpy()}
        if self.return_attention_mask if return_attention_mask is None else return_attention_mask:
            # One entry a frame; the last frame of a length that is no multiple of the hop was dropped.
            batch[MASK] = np.stack(masks)[:, :: self.hop_length][:, : features.shape[-1]].copy()
        return BatchFeature(batch).convert_to_tensors(return_tensors)

    def pad(  # noqa: PLR0917  # the order of the reference
        self,
        processed_features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: str | bool = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Bring rows of `input_features` to one length along their first axis; for rows that came one by one.

        Options as in calling the extractor; max_length is needed to cut, and to pad to it. A mask that came with the
        rows goes with them, whatever else came stays as it is; rows that are tensors make tensors. Raises ValueError.
        """
        columns = by_name(processed_features)
        name = self.model_input_names[0]
        if not columns.get(name):
            raise ValueError(f"rows must have {name}, got {', '.join(columns) or 'none'}")
        if max_length is None and (truncation or Padding.of(padding) is Padding.MAX_LENGTH):
            raise ValueError("max_length must be given to cut rows, or to pad to it, got None")
        kind = return_tensors or ("pt" if isinstance(columns[name][0], Tensor) else "np")
        batch: dict[str, Any] = {key: [single_precision(value) for value in column] for key, column in columns.items()}
        if truncation and max_length is not None:
            for key in {name, MASK} & batch.keys():
                batch[key] = cut_rows(batch[key], max_length, pad_to_multiple_of)
        rows, masks = self._fill(batch[name], padding, max_length or 0, pad_to_multiple_of)
        if self.return_attention_mask if return_attention_mask is None else return_attention_mask:
            if MASK in batch:
                masks, _ = self._fill(batch[MASK], padding, max_length or 0, pad_to_multiple_of, value=0)
            batch[MASK] = rectangle(masks)
        batch[name] = rectangle(rows)
        return BatchFeature(batch).convert_to_tensors(kind)

    def _fill(
        self, rows: Sequence[Any], padding: str | bool, length: int, multiple: int | None, value: float | None = None
    ) -> tuple[Any, Any]:
        """Pad rows as this extractor does, with its own value if `value` is None."""
        left, filler = self.padding_side == "left", self.padding_value if value is None else value
        return fill_rows(rows, Padding.of(padding), length, multiple, value=filler, left=left)

    def _check_rate(self, sampling_rate: int | None) -> None:
        """Raise ValueError for another sampling rate, and warn of one that is not given."""
        if sampling_rate is None:
            logger.warning("sampling_rate was not given: audio of another rate than %d is misheard", self.sampling_rate)
        elif sampling_rate != self.sampling_rate:
            raise ValueError(f"sampling_rate must be {self.sampling_rate}, got {sampling_rate}")

    def _extract(self, audio: Tensor) -> Tensor:
        """(batch, n) -> normalised (batch, feature_size, n // hop_length)."""
        if self.dither:
            audio = audio + self.dither * torch.randn_like(audio)
        return normalize(log_mel_spectrogram(audio, self.mel_filters.to(audio.device), self.hop_length))


def _read_folder(folder: Path) -> dict[str, Any]:
    """Read a folder's configuration: the processor's if it has one of the extractor, else the extractor's own."""
    if (path := folder / PROCESSOR_FILE).is_file() and "feature_extractor" in (values := read_json(path)):
        return dict(values["feature_extractor"])
    if (path := folder / FILE).is_file():
        return _read(path)
    raise ModelError(f"{folder} holds no {FILE}")


def _read(path: Path) -> dict[str, Any]:
    """Read one file, an extractor's or a processor's."""
    values = read_json(path)
    return dict(values.get("feature_extractor", values))
