"""SpecAugment: spans of time or of mel bands that training does not hear.

Source: Park et al. 2019; the draws are those of transformers `_compute_mask_indices`, from numpy's global generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import WhisperConfig


def mask_features(features: Tensor, config: WhisperConfig, attention_mask: Tensor | None = None) -> Tensor:
    """Return log-mel features (batch, n_mels, n_frames) with the spans at 0 that `config` asks for.

    attention_mask: (batch, n_frames), 1 where a frame is audio; time is masked only there.
    """
    batch, bands, frames = features.shape
    if config.mask_time_prob > 0:
        lengths = [frames] * batch if attention_mask is None else attention_mask.sum(-1).int().tolist()
        spans = draw_spans(
            lengths, frames, config.mask_time_prob, config.mask_time_length, least=config.mask_time_min_masks
        )
        features = features.masked_fill(torch.from_numpy(spans).to(features.device)[:, None, :], 0)
    if config.mask_feature_prob > 0:
        spans = draw_spans(
            [bands] * batch, bands, config.mask_feature_prob, config.mask_feature_length,
            least=config.mask_feature_min_masks,
        )  # fmt: skip
        features = features.masked_fill(torch.from_numpy(spans).to(features.device)[:, :, None], 0)
    return features


def draw_spans(lengths: Sequence[int], width: int, probability: float, span: int, least: int = 0) -> NDArray[np.bool_]:
    """Draw spans for rows of which `lengths` of `width` places count; return (rows, width), True where masked.

    probability: share of places masked, were there no overlaps; span: places each; least: spans a row at least.
    Raises ValueError for spans that do not fit.
    """
    if not 1 <= span <= width:
        raise ValueError(f"a masked span must have 1..{width} places, got {span}")
    # The reference rounds to one side or the other by chance, the same for all rows of a batch.
    chance = float(np.random.rand(1)[0])  # noqa: NPY002  # the reference draws from the global generator

    def count(length: int) -> int:
        wanted = max(int(probability * length / span + chance), least)
        return max(min(wanted, width // span, length - span + 1), 0)

    masked = np.zeros((len(lengths), width), dtype=bool)
    if not count(width):
        return masked
    for row, length in zip(masked, lengths, strict=True):
        starts = np.random.choice(np.arange(length - span + 1), count(length), replace=False)  # noqa: NPY002  # as above
        if len(starts) == 0:
            # A row too short for a span: the reference masks its last place, which is padding.
            row[width - 1] = True
        for start in starts:
            row[start : start + span] = True
    return masked
