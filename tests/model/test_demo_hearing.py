"""What the demo model hears in training: Whisper's log-mel, and the same of other voices and microphones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.demo.hearing import BANDS, Ear
from model.features import WhisperFeatureExtractor

ROWS = 200


@pytest.fixture
def ear():
    return Ear(np.random.default_rng(5))


def sounds(rows: int) -> torch.Tensor:
    """Two seconds each of noise that comes and goes."""
    audio = 0.1 * torch.randn(rows, 32_000, generator=torch.Generator().manual_seed(3))
    audio[:, 9_000:15_000] *= 1e-4
    return audio


def test_unchanged_it_is_whisper_s_log_mel(ear):
    audio = sounds(1)
    expected = WhisperFeatureExtractor()(audio[0].numpy(), sampling_rate=16_000, padding="do_not_pad").input_features
    found = ear.listen(audio)
    torch.testing.assert_close(found[0], torch.as_tensor(np.asarray(expected)[0]), rtol=0, atol=5e-5)


def test_changed_it_keeps_its_shape_its_range_and_its_frames_of_silence(ear):
    plain, changed = ear.listen(sounds(40)), ear.listen(sounds(40), 1.0)
    assert changed.shape == plain.shape
    assert (changed.amax(dim=(1, 2)) - changed.amin(dim=(1, 2))).max() <= 2.0 + 1e-5
    assert not torch.equal(changed, plain)
    loud, silent = changed[:, :, 120:180].mean(dim=(1, 2)), changed[:, :, 65:85].mean(dim=(1, 2))
    assert (loud > silent).all()


def test_half_of_the_microphones_lose_what_is_low_and_half_what_is_high_and_none_what_is_between(ear):
    gains = ear._edges(ROWS)
    assert gains.shape == (ROWS, BANDS)
    at = {hertz: int(np.abs(ear.bands - hertz).argmin()) for hertz in (100, 1500, 6000)}
    assert 0.2 * ROWS < (gains[:, at[100]] < -3).sum() < 0.6 * ROWS
    assert 0.3 * ROWS < (gains[:, at[6000]] < -3).sum() < 0.6 * ROWS
    assert not gains[:, at[1500]].any()


def test_floors_lie_30_to_80_db_below_the_loudest_and_another_above_4_khz(ear):
    mel = torch.full((ROWS, 10, BANDS), 1e-9)
    mel[:, 5, 20] = 1.0
    floors = 10 * ear._floors(mel).log10()[:, 0].numpy()
    low, high = np.median(floors[:, :60], axis=1), np.median(floors[:, -8:], axis=1)
    assert 0.4 * ROWS < (low > -85).sum() < 0.8 * ROWS
    assert low.max() < -10
    assert np.corrcoef(low > -85, high > -85)[0, 1] < 0.9
