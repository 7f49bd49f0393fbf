"""Dividing a window's tokens at their timestamps, against the reference's function on random tokens."""

import pytest
import torch
from transformers.models.whisper.generation_whisper import WhisperGenerationMixin

from model.generation.segments import Clock, Window

BEGIN = 50


def random_tokens(generator: torch.Generator) -> torch.Tensor:
    """Text and timestamps, in pairs or alone, in any order: more than the rules of timestamps allow."""
    length = int(torch.randint(0, 12, (), generator=generator))
    text = torch.randint(0, BEGIN, (length,), generator=generator)
    stamps = torch.randint(BEGIN + 1, 110, (length,), generator=generator)
    return torch.where(torch.rand(length, generator=generator) < 0.5, text, stamps)


def reference(tokens, result, clock, *, seek, frames, prompt_length, times):
    seek, frames = torch.tensor([0, seek]), torch.tensor([0, frames])
    return WhisperGenerationMixin._retrieve_segment(
        seek_sequence=tokens, seek_outputs=[None, result if times is None else {"token_timestamps": times}],
        time_offset=seek.double() * clock.seconds_per_stamp / clock.stride, timestamp_begin=clock.timestamp_begin,
        seek_num_frames=frames, time_precision=clock.seconds_per_stamp,
        time_precision_features=clock.seconds_per_frame, input_stride=clock.stride, prev_idx=1, idx=1,
        return_token_timestamps=times is not None, decoder_input_ids=torch.zeros(2, prompt_length),
    )  # fmt: skip


@pytest.mark.parametrize("clock", [Clock(BEGIN), Clock(BEGIN, 0.04, 0.015, 4)])
@pytest.mark.parametrize("timed", [False, True])
def test_segments_and_advance_are_the_reference_s(clock, timed):
    generator = torch.Generator().manual_seed(1)
    for case in range(300):
        tokens, prompt_length = random_tokens(generator), case % 5
        seek, frames = case * 7, 3000 - case * 9
        times = torch.rand(prompt_length + len(tokens) + 1, generator=generator) if timed else None
        expected, expected_advance = reference(
            tokens, "result", clock, seek=seek, frames=frames, prompt_length=prompt_length, times=times
        )

        chances = torch.arange(len(tokens) + 2) if timed else None  # one for each token, and two more
        segments, advance = Window(tokens, "result", prompt_length, seek, frames, times, chances).split(clock)

        assert advance == int(expected_advance), tokens
        assert len(segments) == len(expected), tokens
        for found, wanted in zip(segments, expected, strict=True):
            assert (found["start"], found["end"], found["idxs"]) == (wanted["start"], wanted["end"], wanted["idxs"])
            assert (found["start"].dtype, found["tokens"].tolist()) == (torch.float64, wanted["tokens"].tolist())
            if timed:
                assert torch.equal(found["token_timestamps"], wanted["token_timestamps"])
                places = range(*(place - prompt_length for place in found["idxs"]))
                assert found["token_log_probabilities"].tolist() == list(places)
            else:
                assert "token_log_probabilities" not in found
                assert found["result"] == "result"
                assert "token_timestamps" not in found


def test_a_pair_at_second_0_does_not_stand_still():
    tokens = torch.tensor([BEGIN, BEGIN, 7])

    _, advance = Window(tokens, None, 0, 0, 3000).split(Clock(BEGIN))

    assert advance == 3000
