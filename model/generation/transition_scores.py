"""What each token of a generated sequence scored, taken from what a search returned.

Source: transformers generation/utils.py `compute_transition_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def transition_scores(
    sequences: Tensor, scores: Sequence[Tensor], beam_indices: Tensor | None = None, *, normalize: bool = False
) -> Tensor:
    """Return the score of each new token, (rows, steps) float32, 0 after the end of a sequence of beams.

    sequences: (rows, length) with the prompt; scores: of each step, (rows, vocab_size) or (rows * beams, vocab_size);
    beam_indices: (rows, steps or more), the row of the scores that a token came from, -1 after the end; None without
    beams; normalize: make log-probabilities of the scores.

    `generate` tells of each step the row that a sequence came from: where there are as many rows of scores as sequences
    they are those. The reference's function fails on what its `generate` returns with beams.
    """
    table = torch.stack(list(scores))
    if normalize:
        table = table.log_softmax(dim=-1)
    if beam_indices is None:
        beam_indices = torch.arange(table.shape[1], device=table.device)[:, None].expand(-1, len(table))
    steps = int((beam_indices >= 0).sum(dim=-1).max())
    ended = beam_indices[:, :steps] < 0
    rows = beam_indices[:, :steps].clamp_min(0)
    if table.shape[1] == len(sequences):
        rows = torch.arange(len(sequences), device=table.device)[:, None].expand_as(rows)
    tokens = sequences[:, sequences.shape[1] - steps :]
    found = table[torch.arange(steps, device=table.device), rows, tokens]
    return found.masked_fill(ended, 0.0)
