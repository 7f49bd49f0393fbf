"""Recordings of any length, window by window: each begins where the last complete segment of the one before ended.

Source: Radford et al. 2022, section 4.5; transformers generation_whisper.py, the loop of `generate`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from model.generation.arguments import Arguments
from model.generation.fallback import Decoded, WindowDecoder
from model.generation.judgement import Verdict
from model.generation.prompts import Prompt, PromptBuilder, PromptCondition
from model.generation.segments import Clock, Segment, Window
from model.generation.windows import AudioWindows, Place

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Recording:
    """One recording on its way, or one of several texts of one."""

    source: int
    """Row of the features."""
    frames: int
    """How many there are to be transcribed."""
    audible: int | None = None
    """How many of those are audio and not padding, as far as known: for times of tokens."""
    follows: bool = False
    """Whether the next window is told what was said."""
    seek: int = 0
    """Where the next window begins."""
    segments: list[Segment] = field(default_factory=list)
    decoded: Decoded | None = None
    """The latest window."""

    @property
    def done(self) -> bool:
        """Whether all of it was heard."""
        return self.seek >= self.frames

    def place(self, length: int) -> Place:
        """Return the next window; length: of a full one in frames."""
        return Place(self.source, self.seek, min(self.frames - self.seek, length))


@dataclass(frozen=True, slots=True)
class Transcription:
    """The loop over the windows of a batch. Recordings that are done leave the batch."""

    decoder: WindowDecoder
    prompts: PromptBuilder
    clock: Clock
    arguments: Arguments
    monitor: Callable[[Tensor], None] | None = None
    """Called before each window with (recordings, 2): the frame where it begins, and how many frames there are."""
    first_prompt: Prompt | None = None
    """In place of what would be built for the first window."""

    def run(self, recordings: Sequence[Recording]) -> None:
        """Transcribe to the end; with `unique`, one window."""
        prompt = self.first_prompt
        while not all(recording.done for recording in recordings):
            if self.monitor is not None:
                self.monitor(torch.tensor([[recording.seek, recording.frames] for recording in recordings]))
            active = [index for index, recording in enumerate(recordings) if not recording.done]
            batch = [recordings[index] for index in active]
            if prompt is None:
                prompt = self.prompts.build(active, self._earlier(batch))
            self._check_room(prompt)
            self._transcribe_window(batch, prompt)
            prompt = None
            if self.arguments.unique:
                break

    def _transcribe_window(self, batch: Sequence[Recording], prompt: Prompt) -> None:
        """Decode the next window of each and move on."""
        places = [recording.place(self.decoder.audio.length) for recording in batch]
        known = [recording.audible - recording.seek for recording in batch if recording.audible is not None]
        found = self.decoder.decode(places, prompt, known if len(known) == len(batch) else None)
        for recording, place, decoded in zip(batch, places, found, strict=True):
            recording.decoded = decoded
            recording.follows = self.arguments.conditions and decoded.certain
            if decoded.verdict is Verdict.SILENCE:
                recording.seek += place.frames
                continue
            window = Window(
                decoded.tokens,
                decoded.result,
                prompt.ids.shape[1],
                place.seek,
                place.frames,
                decoded.token_times,
                decoded.log_probabilities,
            )
            segments, advance = window.split(self.clock)
            recording.segments += segments
            recording.seek += advance

    def _earlier(self, batch: Sequence[Recording]) -> list[list[Any] | None]:
        """Return what the next windows are told of earlier text; None for all if there is none."""
        before: list[Any] = []
        if self.prompts.prompt_ids is not None and self.prompts.condition is PromptCondition.FIRST_SEGMENT:
            ids = self.prompts.prompt_ids
            before = [{"tokens": ids[1:] if int(ids[0]) == self.prompts.previous_start else ids}]
        told = [[*before, *recording.segments] if recording.follows else None for recording in batch]
        return told if any(told) else [None] * len(told)

    def _check_room(self, prompt: Prompt) -> None:
        """Refuse more new tokens than the decoder has positions left for."""
        wanted, length = self.arguments.config.max_new_tokens or 0, prompt.ids.shape[1]
        limit = self.decoder.model.config.max_target_positions
        if length + wanted > limit:
            raise ValueError(
                f"the prompt of {length} tokens and max_new_tokens, {wanted}, together must be at most "
                f"max_target_positions, {limit}, got {length + wanted}; shorten the prompt or lower max_new_tokens"
            )


def batch_of(audio: AudioWindows, arguments: Arguments, mask: Tensor | None) -> list[Recording]:
    """Return the batch, each recording as often as texts of it are wanted.

    Raises ValueError where nothing says how long each of several long recordings is.
    """
    if audio.recordings > 1 and not audio.is_short and mask is None:
        raise ValueError(
            "long form of more than one recording needs attention_mask, which says how long each is: call the "
            "feature extractor with return_attention_mask=True"
        )
    if arguments.token_times and mask is None:
        logger.warning("return_token_timestamps without attention_mask takes padding for audio: pass it")
    audible = [None] * audio.recordings if mask is None else [int(n) for n in mask.sum(dim=-1)]
    measured = audio.recordings > 1 and not audio.is_short
    texts = arguments.config.num_return_sequences or 1
    arguments.config.num_return_sequences = 1
    return [
        Recording(
            source=source,
            frames=frames if measured and frames is not None else audio.frames,
            audible=frames,
            follows=arguments.conditioned,
        )
        for source, frames in enumerate(audible)
        for _ in range(texts)
    ]
