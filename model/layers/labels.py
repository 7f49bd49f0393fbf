"""Labels of a language model: the tokens that are read to write them, and the loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.config import WhisperConfig

IGNORED_LABEL = -100
"""Label of a token that the loss leaves out."""


def shift_right(labels: Tensor, config: WhisperConfig) -> Tensor:
    """Return the tokens that a decoder reads to write `labels`: the start token, then all but the last."""
    if config.pad_token_id is None:
        raise ValueError("pad_token_id must be set to make decoder_input_ids of labels, which may hold -100")
    start = torch.full_like(labels[:, :1], config.decoder_start_token_id)
    shifted = torch.cat([start, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORED_LABEL, config.pad_token_id)


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (batch, n, vocab_size) over the labels (batch, n) that are not -100."""
    return F.cross_entropy(logits.flatten(0, 1), labels.to(logits.device).reshape(-1), ignore_index=IGNORED_LABEL)
