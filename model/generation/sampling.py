"""Greedy search and sampling: one token a step, the likeliest or a drawn one.

Source: transformers generation/utils.py, _sample. Draws are made in the same order from the same probabilities, so that
one seed gives both the same text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.generation.assembly import Plan
from model.generation.processors import read_prompt
from model.generation.reader import Reader
from model.generation.record import Record, last_logits
from model.generation_config import GenerationConfig


def sample(reader: Reader, input_ids: Tensor, plan: Plan, record: Record, *, streamer: Any = None) -> Tensor:
    """Continue the sequences of `input_ids`, (batch, prompt), num_return_sequences times each.

    record: is filled. A row that has ended is padded till all have.
    Returns (batch * num_return_sequences, length).
    """
    config, processors, criteria = plan.config, plan.processors, plan.criteria
    times = config.num_return_sequences or 1
    output = reader.read(input_ids)
    read_prompt(processors, output.logits)
    logits = last_logits(output).repeat_interleave(times, dim=0)
    record.traces(output, times)
    reader.repeat(times)
    input_ids = input_ids.repeat_interleave(times, dim=0)
    running = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    padding = padding_of(config) if criteria.ends_rows else None
    if streamer is not None:
        streamer.put(input_ids.cpu())
    while True:
        scores = processors(input_ids, logits)
        record.choice(scores, logits)
        token = drawn(scores) if config.do_sample else scores.argmax(dim=-1)
        if padding is not None:
            token = torch.where(running, token, padding)
        input_ids = torch.cat([input_ids, token[:, None]], dim=1)
        if streamer is not None:
            streamer.put(token.cpu())
        running = running & ~criteria(input_ids, record.scores)
        if not running.any():
            break
        output = reader.read(input_ids)
        logits = last_logits(output)
        record.traces(output)
    if streamer is not None:
        streamer.end()
    return input_ids


def drawn(scores: Tensor) -> Tensor:
    """Draw a token for each row, (rows,), with the global generator."""
    return torch.multinomial(scores.softmax(dim=-1), num_samples=1)[:, 0]


def padding_of(config: GenerationConfig) -> int:
    """Return the token that fills rows which ended. Raises ValueError if there is none."""
    padding: int | list[int] | None = config.pad_token_id
    if padding is None:
        padding = config.eos_token_id
    if isinstance(padding, list):
        padding = padding[0]
    if padding is None:
        raise ValueError("rows end at different places, which needs pad_token_id or eos_token_id")
    return padding
