"""The features of a batch against those of the whole-window extractor."""

import numpy as np
import pytest
import torch

from model.audio.batch_log_mel import WINDOWS, BatchLogMel
from model.config import WhisperConfig
from model.decoding.encode import WindowEncoder
from model.features import WhisperFeatureExtractor
from model.layers.encoder import WhisperEncoder
from tests.model.asking import request
from tests.model.small_whisper import noise, small_checkpoint

CPU = torch.device("cpu")


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("frames", [256, 3000])
def test_each_window_is_as_the_extractor_gives_it(n_mels, frames):
    lengths = [0, 1, 399, 16_000, 2 * 16_000 + 77, 256 * 160]
    windows = [noise(3.0, seed)[:length] for seed, length in enumerate(lengths)]
    found = BatchLogMel(n_mels, CPU).windows(windows, frames)
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    assert found.shape == (len(windows), n_mels, frames)
    for window, ours in zip(windows, found, strict=True):
        expected = extractor(window, max_length=frames * 160, return_tensors="pt", sampling_rate=16_000)
        torch.testing.assert_close(ours, expected.input_features[0], rtol=0, atol=5e-5)


def test_more_windows_than_are_transformed_at_once_are_the_same():
    windows = [noise(0.3, seed) for seed in range(WINDOWS + 3)]
    features = BatchLogMel(80, CPU)
    together = features.windows(windows, 64)
    for window, ours in zip(windows, together, strict=True):
        torch.testing.assert_close(ours, features.windows([window], 64)[0], rtol=0, atol=1e-5)


def test_a_window_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="fit 10 frames"):
        BatchLogMel(80, CPU).windows([np.zeros(1601, dtype=np.float32)], 10)


ASKED = [request(seconds, start=2.5, seed=seed) for seed, seconds in enumerate((0.3, 1.0, 1.1, 4.0, 30.0))]


def encoder(**options) -> WindowEncoder:
    return WindowEncoder(small_checkpoint().model.model.encoder, 80, dynamic=True, **options)


def test_an_encoder_that_takes_its_features_from_a_batch_hears_the_same():
    batched = encoder()
    batched._features._batched = BatchLogMel(80, CPU)
    for found, expected in zip(batched.encode(ASKED), encoder().encode(ASKED), strict=True):
        torch.testing.assert_close(found.audio, expected.audio, atol=2e-3, rtol=1e-3)
    assert not batched._features._streams, "nothing is kept of a stream"


def test_an_encoder_can_be_compiled_as_one_graph(monkeypatch):
    """Nothing in it leads back to Python, whatever the number of windows and their length."""
    real = torch.compile

    def compiling(work, **options):
        return real(work, backend="eager", fullgraph=True, **options)

    monkeypatch.setattr(torch, "compile", compiling)
    one = {"encoder_layers": 1, "encoder_attention_heads": 1, "decoder_attention_heads": 1, "encoder_ffn_dim": 16}
    network = WhisperEncoder(WhisperConfig(d_model=16, **one))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(weight.numel()))
    plain, compiled = (WindowEncoder(network.eval(), 80, dynamic=True, compiled=way) for way in (False, True))
    for found, expected in zip(compiled.encode(ASKED[1:3]), plain.encode(ASKED[1:3]), strict=True):
        torch.testing.assert_close(found.audio, expected.audio, atol=1e-5, rtol=1e-5)
