"""Assisted search: tokens are drafted, and the network judges a whole draft in one pass.

Greedy, the text is that of the network alone. Sampled, it is distributed as the network's own. How much is drafted
changes neither. Source: Leviathan et al. 2023, algorithm 1; transformers generation/utils.py, _assisted_decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.generation.assembly import Plan
from model.generation.drafts import Draft, Drafter
from model.generation.processors import read_prompt
from model.generation.reader import Reader
from model.generation.record import Record
from model.generation_config import GenerationConfig


def assisted(
    reader: Reader, drafter: Drafter, input_ids: Tensor, plan: Plan, record: Record, *, streamer: Any = None
) -> Tensor:
    """Continue one sequence, (1, prompt); return (1, length). Raises ValueError for more than one."""
    config, processors, criteria = plan.config, plan.processors, plan.criteria
    check_assisted(config, len(input_ids))
    assert config.max_length is not None
    if streamer is not None:
        streamer.put(input_ids.cpu())
    done, first = False, True
    while not done:
        start = input_ids.shape[1]
        draft = drafter.draft(input_ids, config.max_length - start - 1)
        candidates = torch.cat([input_ids, draft.tokens.to(input_ids.device)], dim=1)
        count = draft.tokens.shape[1]
        output = reader.read(candidates)
        if first:
            read_prompt(processors, output.logits[:, :start])
        logits = output.logits[:, -count - 1 :].to(torch.float32, copy=True)
        scores = torch.stack([processors(candidates[:, : start + i], logits[:, i]) for i in range(count + 1)], dim=1)
        chosen, accepted = judge(draft, scores, sampling=bool(config.do_sample))
        for i in range(accepted + 1):
            input_ids = torch.cat([input_ids, chosen[:, i : i + 1]], dim=1)
            record.choice(scores[:, i], logits[:, i])
            # Token by token, so that a criterion ends the text where it would without a draft.
            done = bool(criteria(input_ids, record.scores).all())
            if done:
                break
        record.split_traces(output, start, input_ids.shape[1] - start)
        if streamer is not None:
            streamer.put(input_ids[:, start:].cpu())
        reader.crop(input_ids.shape[1] - 1)
        drafter.judged(count, accepted, input_ids.shape[1])
        first = False
    if streamer is not None:
        streamer.end()
    return input_ids


def check_assisted(config: GenerationConfig, batch: int) -> None:
    """Raise ValueError for what a draft cannot serve."""
    if batch != 1:
        raise ValueError(f"assisted decoding works on one input at a time, got a batch of {batch}")
    if (config.num_return_sequences or 1) != 1:
        raise ValueError(f"num_return_sequences must be 1 with assisted decoding, got {config.num_return_sequences}")
    if config.use_cache is False:
        raise ValueError("assisted decoding needs use_cache=True")


def judge(draft: Draft, scores: Tensor, *, sampling: bool) -> tuple[Tensor, int]:
    """Return the tokens that follow, and how many of them are the draft's: those, and one of the network's own.

    scores: (1, n + 1, vocab_size) of the network for the draft's places and the next one.
    """
    if sampling and draft.scores is not None:
        return _judge_drawn(draft.tokens, draft.scores.to(scores.device), scores)
    own = torch.multinomial(scores[0].softmax(dim=-1), num_samples=1).T if sampling else scores.argmax(dim=-1)
    right = (draft.tokens.to(own.device) == own[:, :-1])[0]
    return own, int(right.long().cumprod(dim=0).sum())


def _judge_drawn(tokens: Tensor, draft_scores: Tensor, scores: Tensor) -> tuple[Tensor, int]:
    """Keep drafted tokens as often as makes them distributed like the network's own (Leviathan et al. 2023)."""
    tokens = tokens.to(scores.device)
    count = tokens.shape[1]
    drafted, wanted = draft_scores.softmax(dim=-1)[0], scores.softmax(dim=-1)[0]
    places = torch.arange(count, device=scores.device)
    ratio = wanted[places, tokens[0]] / drafted[places, tokens[0]]
    kept = torch.rand_like(ratio) <= ratio
    accepted = int(kept.long().cumprod(dim=0).sum())
    following = wanted[accepted]
    if accepted < count:
        # What the draft offered too rarely makes up for what it offered too often.
        following = (following - drafted[accepted]).clamp(min=0)
        following = following / following.sum()
    token = torch.multinomial(following[None], num_samples=1)
    return torch.cat([tokens[:, :accepted], token], dim=1), accepted
