"""What the decoder is told before each window: earlier text or a prompt, then start of transcript, language, task.

Source: Radford et al. 2022, section 2.3; transformers generation_whisper.py `_retrieve_init_tokens` and
`_prepare_decoder_input_ids`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.generation_config import GenerationConfig

logger = logging.getLogger(__name__)

TASKS = ("translate", "transcribe")


class PromptCondition(StrEnum):
    """Which windows a prompt is for."""

    FIRST_SEGMENT = "first-segment"
    """It counts as text before the recording, which later text moves out."""
    ALL_SEGMENTS = "all-segments"
    """It stands before the earlier text in every window."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the decoder reads before it writes."""

    ids: Tensor
    """(batch, n); rows with less to say are padded on the left."""
    mask: Tensor | None = None
    """(batch, n) bool, False for padding; None if there is none."""

    def rows(self, indices: Sequence[int]) -> Prompt:
        """Return some of the rows."""
        return Prompt(self.ids[list(indices)], None if self.mask is None else self.mask[list(indices)])


def start_token(config: GenerationConfig) -> int:
    """Return start of transcript. Raises ValueError if the configuration does not have it."""
    if config.decoder_start_token_id is None:
        raise ValueError("decoder_start_token_id must be set in the generation configuration, got None")
    return config.decoder_start_token_id


def forced_start(config: GenerationConfig, network_config: Any) -> list[int | None]:
    """Return start of transcript and the tokens of the older field `forced_decoder_ids`, if nothing newer is given.

    None stands for a language to be detected. Raises ValueError for gaps between its positions.
    """
    start: list[int | None] = [start_token(config)]
    if getattr(config, "task", None) is not None or getattr(config, "language", None) is not None:
        return start
    forced = getattr(config, "forced_decoder_ids", None)
    if forced is None:
        forced = getattr(network_config, "forced_decoder_ids", None)
    if not forced:
        return start
    logger.warning("forced_decoder_ids of the configuration is used; set task and language instead")
    if forced[0][0] == 1:
        for position, token in forced:
            if position != len(start):
                raise ValueError(
                    f"forced_decoder_ids must have an entry for every position from 1 on, got {forced!r} "
                    f"without position {len(start)}"
                )
            start.append(token)
    return start


def start_tokens(
    config: GenerationConfig, start: Sequence[int | None], language: int | None, *, given: bool
) -> list[int]:
    """Return the tokens from start of transcript to the first one that is generated.

    start: as from `forced_start`; language: its token, None for none; given: whether the caller named it, and not
    the audio. Raises ValueError for a task that the checkpoint does not know.
    """
    tokens = list(start)
    if language is not None:
        tokens[1:2] = [language]
    task, tasks = getattr(config, "task", None), getattr(config, "task_to_id", None)
    if task is not None:
        if task not in TASKS or not tasks or task not in tasks:
            raise ValueError(f"the task {task!r} is not supported; it must be one of {', '.join(tasks or TASKS)}")
        tokens.append(tasks[task])
    elif given and tasks and not set(tasks.values()) & set(tokens):
        tokens.append(tasks["transcribe"])
    without_times = getattr(config, "no_timestamps_token_id", None)
    if not config.return_timestamps and without_times is not None and tokens[-1] != without_times:
        tokens.append(without_times)
    elif config.return_timestamps and tokens[-1] == without_times:
        tokens.pop()
    return [token for token in tokens if token is not None]


def prompt_tensor(prompt_ids: Any, device: torch.device) -> Tensor:
    """Return `prompt_ids` as (n,) long. Raises ValueError for another shape or for no token."""
    ids = torch.as_tensor(prompt_ids, dtype=torch.long, device=device)
    if ids.ndim != 1 or not len(ids):
        raise ValueError(f"prompt_ids must be the tokens of one prompt, (n,), got shape {tuple(ids.shape)}")
    return ids


def previous_start(config: GenerationConfig, suppressed: Sequence[int] | None) -> int | None:
    """Return the token that comes before earlier text; older files have it only among the suppressed ones."""
    token: int | None = getattr(config, "prev_sot_token_id", None)
    if token is None and suppressed is not None and len(suppressed) >= 2:
        token = suppressed[-2]
    return token


@dataclass(frozen=True, slots=True)
class PromptBuilder:
    """Writes the prompts of one call of `generate`."""

    start: Tensor
    """(recordings, n) from start of transcript on."""
    prompt_ids: Tensor | None
    """(n,) with start of previous text."""
    condition: PromptCondition
    previous_start: int | None
    pad: int
    timestamp_begin: int
    limit: int
    """Tokens of earlier text that are kept, besides what stands before them."""
    fixed: bool = False
    """Whether every prompt with earlier text is of one length, as a static cache wants it."""

    def build(self, recordings: Sequence[int], earlier: Sequence[Sequence[Mapping[str, Any]] | None]) -> Prompt:
        """Return the prompts of the next windows of some recordings.

        earlier: the segments of each that its next text is to follow; None for a recording that goes without, and
        None for all to use no earlier text at all.
        """
        start = self.start[list(recordings)]
        if any(segments is not None for segments in earlier):
            rows = [self._earlier_text(segments) for segments in earlier]
            width = self.limit + 1 if self.fixed else max(len(row) for row in rows)
            padded = torch.stack([F.pad(row, (width - len(row), 0), value=self.pad) for row in rows])
            ids = torch.cat([padded, start], dim=1)
            return Prompt(ids, ids != self.pad)
        if self.prompt_ids is not None:
            return Prompt(torch.cat([self.prompt_ids.expand(len(start), -1), start], dim=1))
        return Prompt(start)

    def _earlier_text(self, segments: Sequence[Mapping[str, Any]] | None) -> Tensor:
        """Return the tokens before start of transcript for one recording."""
        head = self.start.new_tensor([] if self.previous_start is None else [self.previous_start])
        if self.prompt_ids is not None and self.condition is PromptCondition.ALL_SEGMENTS:
            head = self.prompt_ids
        if not segments:
            return head
        text = torch.cat([self._without_second_stamp(segment["tokens"]) for segment in segments])
        return torch.cat([head, text[-self.limit :]])

    def _without_second_stamp(self, tokens: Tensor) -> Tensor:
        """Leave out the timestamp that opens the next segment, which will come with it."""
        return tokens[:-1] if len(tokens) > 2 and int(tokens[-2]) >= self.timestamp_begin else tokens
