"""SpecAugment draws what the reference draws."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperModel, _compute_mask_indices

from model.audio.spec_augment import draw_spans, mask_features
from model.config import WhisperConfig


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "drawn",
    [
        (100, 0.05, 10, 2, None), (100, 0.5, 10, 0, None), (80, 0.0, 10, 0, None), (40, 1.0, 10, 0, None),
        (100, 0.3, 10, 2, [100, 60, 11]), (100, 0.2, 10, 1, [100, 5, 9]), (12, 0.9, 12, 3, None),
    ],
)  # fmt: skip
def test_spans_equal_the_reference_s_for_the_same_seed(seed, drawn):
    width, probability, span, least, lengths = drawn
    mask = None if lengths is None else torch.stack([(torch.arange(width) < n).long() for n in lengths])
    np.random.seed(seed)  # noqa: NPY002  # the reference draws from the global generator
    expected = _compute_mask_indices((3, width), probability, span, mask, least)
    np.random.seed(seed)  # noqa: NPY002  # the reference draws from the global generator
    assert np.array_equal(draw_spans(lengths or [width] * 3, width, probability, span, least), expected)


def test_a_span_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"a masked span must have 1\.\.5 places, got 10"):
        draw_spans([5], 5, 0.1, 10)


DRAWN = {
    "mask_time_prob": 0.3, "mask_time_length": 9, "mask_time_min_masks": 1,
    "mask_feature_prob": 0.2, "mask_feature_length": 3, "mask_feature_min_masks": 7,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", [None, (100, 40)])
@pytest.mark.parametrize("off", [{}, {"mask_time_prob": 0.0}, {"mask_feature_prob": 0.0}], ids=str)
def test_time_and_bands_are_masked_as_the_reference_masks_them(seed, frames, off):
    features = torch.randn(2, 80, 100, generator=torch.Generator().manual_seed(seed))
    mask = None if frames is None else torch.stack([(torch.arange(100) < n).long() for n in frames])
    config = WhisperConfig(**DRAWN | off)
    reference = SimpleNamespace(config=SimpleNamespace(**DRAWN | off, apply_spec_augment=True), training=True)
    np.random.seed(seed)  # noqa: NPY002  # the reference draws from the global generator
    expected = WhisperModel._mask_input_features(reference, features.clone(), mask)

    np.random.seed(seed)  # noqa: NPY002  # as above
    found = mask_features(features, config, mask)

    assert torch.equal(found, expected)


def test_the_features_given_are_left_as_they_are():
    config = WhisperConfig(mask_time_prob=0.5, mask_feature_prob=0.5)
    features = torch.ones(2, 80, 100)
    masked = mask_features(features, config)
    assert features.all()
    assert 0.05 < masked.mean() < 0.9
