"""When each generated token was said, from the cross-attentions that generation recorded.

Source: transformers generation_whisper.py `_extract_token_timestamps`. openai/whisper reads the finished text once more
instead, so that its last token has attention of its own; here that one shares the time of the token before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.align import MEDIAN_WIDTH, alignment_cost, path_starts

SECONDS_PER_POSITION = 0.02
"""An encoder position; `time_precision` of `generate` does not change what the encoder hears."""


def recorded_attention(
    cross_attentions: Sequence[Sequence[Tensor]],
    heads: Sequence[Sequence[int]],
    prompt_length: int,
    beam_indices: Tensor | None = None,
) -> Tensor:
    """Return what each sequence's tokens looked at, (batch, heads, rows, n_audio_ctx); row i read token i.

    cross_attentions: of each step and in it of each layer, (batch * beams, heads, tokens, n_audio_ctx), the first step
    reading the whole prompt; heads: (layer, head) pairs; beam_indices: (batch, steps) the row that each step of a
    sequence came from, -1 after its end.
    """
    steps = [torch.stack([step[layer][:, head] for layer, head in heads], dim=1) for step in cross_attentions]
    attention = torch.cat(steps, dim=2)
    if beam_indices is None:
        return attention
    length = int((beam_indices != -1).sum(dim=-1).max())
    beams = beam_indices[:, :length]
    if prompt_length > 1:
        beams = torch.cat([beams[:, :1].expand(-1, prompt_length - 1), beams], dim=1)
    # What follows the end of a sequence is read from row 0: it has to be read from somewhere, and is not used.
    beams = beams.clamp_min(0).to(attention.device)[:, : attention.shape[2]]
    rows = torch.arange(beams.shape[1], device=attention.device)
    return attention[beams, :, rows].transpose(1, 2)


def token_times(
    attention: Tensor, prompt_length: int, frames: Sequence[int] | None = None, width: int = MEDIAN_WIDTH
) -> Tensor:
    """Return the second at which each token starts, (batch, rows + 1) float32; 0 for the prompt.

    attention: as from `recorded_attention`; frames: log-mel frames of audio in each row, all of the window if None;
    width: of the median filter. The last token, which no row has read, starts with the one before it.
    """
    batch, _, rows, positions = attention.shape
    times = torch.zeros(batch, rows + 1)
    if rows <= prompt_length:
        return times
    for i in range(batch):
        end = positions if frames is None else min(int(frames[i]) // 2, positions)
        if end < 1:
            continue
        cost = alignment_cost(_by_most(attention[i, :, prompt_length:]), end=end, width=width)
        starts = torch.from_numpy(path_starts(cost.double().cpu().numpy())) * SECONDS_PER_POSITION
        times[i, prompt_length:-1] = starts
        times[i, -1] = starts[-1]
    return times


def _by_most(attention: Tensor) -> Tensor:
    """Divide what tokens looked at, (heads, rows, n_audio_ctx), by the most that any of them did at each position.

    The cost does not depend on it, but where all look so little that it would take their differences for none.
    """
    most = attention.float().amax(dim=-2, keepdim=True)
    return attention.float() / most.clamp_min(torch.finfo(torch.float32).tiny)
