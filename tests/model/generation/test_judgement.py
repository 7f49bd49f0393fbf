"""What is measured of a window's tokens, against the reference's functions, and what follows from it."""

import pytest
import torch
from transformers.models.whisper.generation_whisper import WhisperGenerationMixin

from model.generation.judgement import (
    Thresholds,
    Verdict,
    average_log_probability,
    compression_ratio,
    token_log_probabilities,
)


@pytest.mark.parametrize("vocab_size", [100, 255, 256, 51865, 70000])
def test_the_compression_ratio_is_the_reference_s(vocab_size):
    generator = torch.Generator().manual_seed(0)
    for length in (1, 5, 60):
        for high in (2, vocab_size):
            tokens = torch.randint(0, high, (length,), generator=generator)
            expected = WhisperGenerationMixin._retrieve_compression_ratio(tokens, vocab_size)

            assert compression_ratio(tokens, vocab_size) == expected


@pytest.mark.parametrize("temperature", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("steps", "length"), [(6, 6), (8, 6), (6, 8)])
def test_the_average_log_probability_is_the_reference_s(temperature, steps, length):
    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(50, generator=generator) for _ in range(steps)]
    tokens = torch.randint(0, 50, (length,), generator=generator)
    expected = WhisperGenerationMixin._retrieve_avg_logprobs(scores, tokens, temperature)

    found = average_log_probability(token_log_probabilities(scores, tokens, temperature))
    assert found == pytest.approx(float(expected), rel=1e-5)


LOOP, VARIED = torch.full((60,), 7), torch.arange(60)


@pytest.mark.parametrize(
    ("tokens", "log_probability", "no_speech", "verdict"),
    [
        (VARIED, -0.5, 0.9, Verdict.TAKE),
        (VARIED, -1.5, 0.2, Verdict.RETRY),
        (VARIED, -1.5, 0.9, Verdict.SILENCE),
        (LOOP, -0.5, 0.9, Verdict.RETRY),
        (LOOP, -1.5, 0.9, Verdict.SILENCE),
    ],
)
def test_a_loop_or_unlikely_text_is_tried_again_unless_nothing_was_said(tokens, log_probability, no_speech, verdict):
    thresholds = Thresholds(compression_ratio=1.5, log_probability=-1.0, no_speech=0.6)

    assert thresholds.judge(tokens, 51865, log_probability, no_speech) is verdict


def test_without_bounds_everything_is_taken():
    assert Thresholds().judge(LOOP, 51865, -9.0, 1.0) is Verdict.TAKE
