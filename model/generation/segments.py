"""Tokens of one window to segments, and how far the window may move on.

Source: Radford et al. 2022, section 4.5; transformers generation_whisper.py `_retrieve_segment`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor


class Segment(TypedDict):
    """What `generate` says about a stretch of text between two timestamps."""

    start: Tensor
    """Seconds in the recording, () float64."""
    end: Tensor
    tokens: Tensor
    """(n,) with the timestamps, without prompt and end of text."""
    idxs: tuple[int, int]
    """Where the tokens are in the sequence that the search returned."""
    result: Any
    """What the search returned for this window of this recording."""
    token_timestamps: NotRequired[Tensor]
    """Seconds in the recording at which each token starts, (n,) float32."""
    token_log_probabilities: NotRequired[Tensor]
    """Of the tokens, (n,) float32, where there is a bound on them. The reference does not tell them."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What timestamps and frames are in seconds."""

    timestamp_begin: int
    """Token of second 0."""
    seconds_per_stamp: float = 0.02
    seconds_per_frame: float = 0.01
    """Of log-mel."""
    stride: int = 2
    """Frames per timestamp."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one recording, decoded."""

    tokens: Tensor
    """(n,) what was generated, without padding and end of text."""
    result: Any
    """What the caller is shown of the search."""
    prompt_length: int
    """Tokens before the first generated one."""
    seek: int
    """First frame."""
    frames: int
    """Frames of audio in it."""
    token_times: Tensor | None = None
    """Seconds in the window at which every token of the search's sequence starts."""
    log_probabilities: Tensor | None = None
    """Of the tokens, (n,) or a few more."""

    def split(self, clock: Clock) -> tuple[list[Segment], int]:
        """Return the segments and the frames after which the next window starts.

        Two timestamps in a row end one segment and begin the next. What follows the last such pair may be cut by the
        end of the window: it is dropped and heard again, unless a single timestamp says that nothing follows.
        """
        tokens = self.tokens.tolist()
        stamped = [token >= clock.timestamp_begin for token in tokens]
        cuts = [i + 1 for i in range(len(tokens) - 1) if stamped[i] and stamped[i + 1]]
        if not cuts:
            return [self._segment(clock, 0, len(tokens), 0.0, self._last_second(clock, tokens))], self.frames
        complete = stamped[-2:] == [False, True]
        if complete:
            cuts.append(len(tokens))
        else:
            cuts[-1] += 1  # with its second timestamp the last segment shows that it was closed by a pair
        segments = []
        for first, after in zip([0, *cuts], cuts, strict=False):
            closing = after - 1 if complete or after != cuts[-1] else after - 2
            seconds = [(tokens[i] - clock.timestamp_begin) * clock.seconds_per_stamp for i in (first, closing)]
            segments.append(self._segment(clock, first, after, *seconds))
        advance = (tokens[cuts[-1] - 2] - clock.timestamp_begin) * clock.stride
        # A pair at second 0 would be heard again for ever.
        return segments, self.frames if complete or advance < 1 else advance

    def _last_second(self, clock: Clock, tokens: list[int]) -> float:
        """Return where undivided text ends: at its last timestamp that is not 0, else with the audio."""
        stamps = [token - clock.timestamp_begin for token in tokens if token >= clock.timestamp_begin]
        if stamps and stamps[-1]:
            return stamps[-1] * clock.seconds_per_stamp
        # In float32 and cut to whole timestamps, as the reference counts them.
        steps = int(torch.tensor(self.frames) * clock.seconds_per_frame / clock.seconds_per_stamp)
        return steps * clock.seconds_per_stamp

    def _segment(self, clock: Clock, first: int, after: int, start: float, end: float) -> Segment:
        """Return tokens first..after as a segment; start, end: seconds in the window."""
        offset = self.seek * clock.seconds_per_stamp / clock.stride
        places = (self.prompt_length + first, self.prompt_length + after)
        segment = Segment(
            start=torch.tensor(offset + start, dtype=torch.float64),
            end=torch.tensor(offset + end, dtype=torch.float64),
            tokens=self.tokens[first:after],
            idxs=places,
            result=self.result,
        )
        if self.token_times is not None:
            segment["token_timestamps"] = self.token_times[slice(*places)] + offset
        if self.log_probabilities is not None:
            segment["token_log_probabilities"] = self.log_probabilities[first:after].cpu()
        return segment
