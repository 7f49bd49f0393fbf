"""What training minimises: the next token, and three helps that show a small network where to look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.demo import vocabulary as v
from model.demo.labels import IGNORE, Targets
from model.demo.network import Seen


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts."""

    capped: float = 0.3
    frames: float = 0.5
    guide: float = 0.4


@dataclass(frozen=True, slots=True)
class Measures:
    """Loss and what one watches, over one batch."""

    loss: Tensor
    words: float
    """Share of digit steps whose digit is the likeliest of all rows."""
    times: float
    """Mean error of timestamps in seconds."""
    text: float
    """Cross-entropy of the tokens."""


def measure(seen: Seen, wanted: Targets, weights: Weights) -> Measures:
    """Compare one pass with its targets."""
    logits = seen.logits.clone()
    # One row stands for all unused ones.
    logits[..., v.UNKNOWN] += math.log(v.UNUSED_ROWS)
    logits[..., v.OTHER_LANGUAGE] += math.log(len(v.LANGUAGES) - 1)
    text = F.cross_entropy(logits.flatten(0, 1), wanted.labels.flatten(), ignore_index=IGNORE)
    frames = F.cross_entropy(seen.frames.flatten(0, 1), wanted.frames.flatten())
    guide = _guide(seen.behind, wanted.behind)
    for scores in seen.ahead:
        guide = guide + _guide(scores, wanted.ahead)
    loss = text + weights.capped * _capped(logits, wanted.capped) + weights.frames * frames + weights.guide * guide
    with torch.no_grad():
        best, labels = logits.argmax(-1), wanted.labels
        digits, stamps = (labels >= 0) & (labels < 10), labels >= v.TIME
        words = (best == labels)[digits].float().mean().item() if digits.any() else math.nan
        late = (logits[..., v.TIME :].argmax(-1) + v.TIME - labels)[stamps].abs().float().mean().item() * 0.02
    return Measures(loss, words, late, text.item())


def _guide(scores: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of attention scores (batch, n, n_positions) against where it should lie."""
    rows = wanted.sum(-1) > 0
    if not rows.any():  # silence alone
        return scores.new_zeros(())
    return -(wanted[rows] * scores.float()[rows].log_softmax(-1)).sum(-1).mean()


def _capped(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at first steps over the rows that Whisper's rules leave: no end, no start later than 1 s."""
    at = labels != IGNORE
    if not at.any():
        return logits.new_zeros(())
    rows, wanted = logits[at].clone(), labels[at]
    rows[:, v.EOT] = -torch.inf
    timed = wanted >= v.TIME
    rows[timed, : v.TIME] = -torch.inf
    rows[timed, v.TIME + 51 :] = -torch.inf
    return F.cross_entropy(rows, wanted)
