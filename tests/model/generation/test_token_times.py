"""Times of tokens from recorded attention, against the reference's function."""

from types import SimpleNamespace

import pytest
import torch
from transformers.generation.utils import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput
from transformers.models.whisper.generation_whisper import WhisperGenerationMixin, _median_filter

from model.align import median_filter
from model.generation.token_times import recorded_attention, token_times

LAYERS, HEADS, POSITIONS = 2, 4, 60
ALIGNMENT = [[0, 1], [1, 0], [1, 3]]
FRAME = 0.0201
"""One position of the encoder, and a little for rounding."""


def attentions(rows: int, prompt_length: int, steps: int) -> tuple[tuple[torch.Tensor, ...], ...]:
    """Attention that moves on as speech does, with noise."""
    generator = torch.Generator().manual_seed(rows * steps)
    total = prompt_length + steps - 1
    centre = torch.linspace(2, POSITIONS - 5, total)[:, None]
    near = -((torch.arange(POSITIONS) - centre) ** 2) / 20
    noise = torch.randn(LAYERS, rows, HEADS, total, POSITIONS, generator=generator)
    whole = (near + noise).softmax(dim=-1)
    ends = [prompt_length, *range(prompt_length + 1, total + 1)]
    starts = [0, *ends[:-1]]
    return tuple(tuple(layer[:, :, a:b] for layer in whole) for a, b in zip(starts, ends, strict=True))


def reference(output, frames, prompt_length, width=7):
    network = SimpleNamespace(config=SimpleNamespace(decoder_layers=LAYERS, median_filter_width=width))
    return WhisperGenerationMixin._extract_token_timestamps(
        network, output, ALIGNMENT, num_frames=frames, num_input_ids=prompt_length
    )


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # of the reference, which hands NumPy a tensor
@pytest.mark.parametrize("frames", [None, [120, 120, 120], [120, 87, 50]])
@pytest.mark.parametrize("width", [3, 7])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_times_are_the_reference_s(frames, width, steps):
    crossing = attentions(3, 4, steps)
    output = GenerateEncoderDecoderOutput(sequences=torch.zeros(3, 4 + steps), cross_attentions=crossing)
    expected = reference(output, None if frames is None else torch.tensor(frames), 4, width)

    found = token_times(recorded_attention(crossing, ALIGNMENT, 4), 4, frames, width)

    assert found.shape == expected.shape == (3, 4 + steps)
    assert found.dtype == expected.dtype
    assert (found - expected).abs().max() < FRAME
    assert not found[:, :4].any()
    if steps > 2:
        assert found[:, -1].min() > 0.1  # the path went somewhere


@pytest.mark.parametrize("prompt_length", [1, 3])
def test_times_follow_the_beam_of_each_step(prompt_length):
    beams = torch.tensor([[0, 1, 1, 0, 1, -1, -1], [2, 2, 3, 3, 2, 3, -1]])
    crossing = attentions(4, prompt_length, 7)
    output = GenerateBeamEncoderDecoderOutput(
        sequences=torch.zeros(2, prompt_length + 7), cross_attentions=crossing, beam_indices=beams
    )
    if prompt_length > 1:
        # The reference reads one row more than there is of the longest sequence; it has the end of text there.
        output.beam_indices = beams = beams[:, :-1]
    expected = reference(output, None, prompt_length)

    found = token_times(recorded_attention(crossing, ALIGNMENT, prompt_length, beams), prompt_length)

    assert found.shape == expected.shape
    assert (found - expected).abs().max() < FRAME


@pytest.mark.parametrize("silent", [0, 1])
def test_no_audio_gives_no_times_and_takes_none_of_another_recording(silent):
    frames = [120, 120]
    frames[silent] = 0
    found = token_times(recorded_attention(attentions(2, 1, 4), ALIGNMENT, 1), 1, frames)

    assert not found[silent].any()
    assert found[1 - silent].any()


@pytest.mark.parametrize("width", [1, 3, 5, 7, 9, 21])
@pytest.mark.parametrize("length", [1, 3, 4, 10, 50])
def test_the_median_filter_of_any_width_is_the_reference_s(width, length):
    x = torch.randn(2, 3, 5, length, generator=torch.Generator().manual_seed(0))

    assert torch.equal(median_filter(x, width), _median_filter(x, width))


@pytest.mark.parametrize("width", [0, -1, 4])
def test_an_even_median_is_refused(width):
    with pytest.raises(ValueError, match=f"odd, got {width}"):
        median_filter(torch.zeros(1, 10), width)
