"""The last part of a decode: rows without a draft, one token a step, the host reading behind.

Theory of operation. The host has nothing to add to a step, it only has to notice when rows are done. So it launches a
step before it has read the one before (`lookahead`), and the device never waits for it. What that costs is one step
that nobody reads, each time the batch changes; what was written by it into the cache is written again or never seen.

One call makes a stretch: until so many rows are done that the others should close ranks, until a row has a draft again,
or until the room for attention is used up.

Source: Zhu et al. 2024, NanoFlow, section 4.2.2, for launching a step before the end of the one before is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from model.decoding.rows import Row
from model.decoding.step import SPAN, StepPlace


class Step(Protocol):
    """What advances a batch: a `DecodeStep`, or a graph of one."""

    @property
    def place(self) -> StepPlace:
        """Where it reads and writes."""
        ...

    def load(self, rows: Sequence[Row]) -> None:
        """Put rows into the first places."""
        ...

    def __call__(self) -> None:
        """Advance every row by one token."""
        ...


class Letter:
    """The tokens of one step on their way to the host."""

    def __init__(self, chosen: Tensor) -> None:
        """Send a copy of `chosen`, (2, batch), which the next step will overwrite."""
        self._event: torch.cuda.Event | None = None
        if chosen.device.type == "cuda":
            self._values = torch.empty(chosen.shape, dtype=chosen.dtype, pin_memory=True)
            self._values.copy_(chosen, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch does not say
            self._event.record(torch.cuda.current_stream(chosen.device))
        else:
            self._values = chosen.clone()

    def read(self) -> list[tuple[int, float]]:
        """Wait for it; return token and log-probability of each place."""
        if self._event is not None:
            self._event.synchronize()
        tokens, log_probabilities = self._values.tolist()
        return [(int(token), value) for token, value in zip(tokens, log_probabilities, strict=True)]


def run_stretch(
    step: Step, rows: Sequence[Row], eot: int, *, leave: Callable[[int], bool], lookahead: int
) -> tuple[int, int]:
    """Advance rows by up to SPAN tokens, each with one token to feed; return steps launched, and steps read.

    rows: those that are done ride along unread. leave: whether the stretch is to end with so many rows not done;
    lookahead: steps that are launched beyond the one being read, 0 where the device is the host.
    """
    step.load(rows)
    letters: deque[Letter] = deque()
    counts = [0] * len(rows)
    room = max(row.start.limit - len(row.out.tokens) for row in rows if not row.done)
    most = min(room, SPAN)
    launched = read = 0
    going = True
    while going or letters:
        while going and launched < most and len(letters) <= lookahead:
            step()
            letters.append(Letter(step.place.chosen))
            launched += 1
        if not letters:
            break
        choices = letters.popleft().read()
        read += 1
        for place, row in enumerate(rows):
            if not row.done:
                row.receive(choices[place : place + 1], eot)
                row.out.passes += 1
                counts[place] += 1
        live = [row for row in rows if not row.done]
        if not live or any(row.draft for row in live):
            break  # what has been launched beyond stays unread
        going = launched < most and not leave(len(live))
    _keep_attention(step.place.attention, rows, counts)
    return launched, read


def _keep_attention(attention: Tensor | None, rows: Sequence[Row], counts: Sequence[int]) -> None:
    """Give each row the attention of the steps it took part in, before the next stretch writes over it."""
    if attention is None or not any(counts):
        return
    kept = attention[: len(rows), :, : max(counts)].clone()
    for place, (row, count) in enumerate(zip(rows, counts, strict=True)):
        if count:
            row.attention.append(kept[place, :, :count])
