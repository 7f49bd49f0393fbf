"""Which tokens may follow: Whisper's logit rules, for many positions of many rows at once.

The rules look at what was decoded after the start-of-transcript sequence, so they split in two: the host, which holds
the tokens, works out per position what is allowed (`Limits`, a few comparisons); the device applies that to all
positions together. A draft of n tokens is thus judged in one pass, each position in its own context. Where tokens
follow one another without the host, the device keeps the three numbers that the rules need to know (`Memory`) itself.

A forced prefix counts as decoded: after it the rules continue exactly as if the decoder had written it itself. What
holds for the first token only (no blank, a timestamp of at most `max_initial_timestamp`) is then over.

Source: openai/whisper decoding.py, SuppressBlank, SuppressTokens and ApplyTimestampRules; transformers
WhisperTimeStampLogitsProcessor, which the tests compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Limits(NamedTuple):
    """What may be said at one position; timestamps are indices, steps of 20 ms from the start of the window."""

    first: bool
    """Whether nothing was decoded yet: only a timestamp may come."""
    text: bool
    """Whether a text token may come."""
    earliest: int
    """Smallest timestamp; more than `latest` if none may come."""
    latest: int
    end: bool = True
    """Whether the text may end."""


class Memory(NamedTuple):
    """What the rules need to know of what a row has decoded, at least one token; of many rows, each (n,) long."""

    stamped: Tensor
    """1 if its last token is a timestamp."""
    paired: Tensor
    """1 if so is the one before, or there is none."""
    last_stamp: Tensor
    """Its last timestamp as an index; -1 for none."""


BLOCK = 256
"""Values of a vocabulary whose largest is found together."""


class LogitRules:
    """The rules of one checkpoint."""

    def __init__(
        self,
        *,
        vocab_size: int,
        eot: int,
        no_timestamps: int,
        suppress: Sequence[int] = (),
        begin_suppress: Sequence[int] = (),
        max_initial_timestamp: int | None = 50,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare for logits of `vocab_size`, whose timestamps start after `no_timestamps`.

        suppress: tokens that never come; begin_suppress: tokens that never come first; max_initial_timestamp: latest
        first timestamp in steps of 20 ms, None for any.
        """
        self.eot = eot
        self.timestamp_begin = no_timestamps + 1
        self._last = vocab_size - self.timestamp_begin - 1
        self._latest_first = self._last if max_initial_timestamp is None else min(max_initial_timestamp, self._last)
        never = sorted({token for token in suppress if 0 <= token < vocab_size} | {no_timestamps})
        self._never = torch.tensor(never, device=device)
        begin = sorted(token for token in begin_suppress if 0 <= token < vocab_size)
        self._never_first = torch.tensor(begin, dtype=torch.long, device=device)
        self._steps = torch.arange(self._last + 1, device=device)

    def limits(self, decoded: Sequence[int], start: int = 0) -> list[Limits]:
        """Say what may follow decoded[:n] for each n from `start` to len(decoded).

        decoded: tokens after the start-of-transcript sequence, a forced prefix included.
        """
        begin = self.timestamp_begin
        stamps = [token - begin for token in decoded[:start] if token >= begin]
        last_stamp = stamps[-1] if stamps else -1
        found = []
        for n in range(start, len(decoded) + 1):
            if n > start and decoded[n - 1] >= begin:
                last_stamp = decoded[n - 1] - begin
            found.append(self._limits_after(decoded, n, last_stamp))
        return found

    def _limits_after(self, decoded: Sequence[int], n: int, last_stamp: int) -> Limits:
        """Say what may follow decoded[:n], whose last timestamp is `last_stamp` (-1 for none)."""
        if n == 0:
            return Limits(first=True, text=False, earliest=0, latest=self._latest_first)
        begin = self.timestamp_begin
        if decoded[n - 1] < begin:
            return Limits(first=False, text=True, earliest=last_stamp + 1, latest=self._last)
        if n == 1 or decoded[n - 2] >= begin:
            return Limits(first=False, text=True, earliest=self._last + 1, latest=self._last)
        # A segment has just closed: the next one opens at the same time or later, or the text ends.
        return Limits(first=False, text=False, earliest=last_stamp, latest=self._last)

    def restrict(self, logits: Tensor, limits: Sequence[Limits]) -> None:
        """Set what is not allowed to -inf, in place; all rules but the weighing of timestamps against text.

        logits: (n, vocab_size); limits: one for each of the n positions.
        """
        logits.index_fill_(1, self._never, -torch.inf)
        first = [i for i, limit in enumerate(limits) if limit.first]
        if first:
            rows = torch.tensor(first, device=logits.device)
            if len(self._never_first):
                logits[rows[:, None], self._never_first] = -torch.inf
            logits[rows, : self.timestamp_begin] = -torch.inf
        silent = [i for i, limit in enumerate(limits) if not limit.text and not limit.first]
        if silent:
            logits[torch.tensor(silent, device=logits.device), : self.eot] = -torch.inf
        endless = [i for i, limit in enumerate(limits) if not limit.end]
        if endless:
            logits[torch.tensor(endless, device=logits.device), self.eot] = -torch.inf
        bounds = torch.tensor([(limit.earliest, limit.latest) for limit in limits], device=logits.device)
        outside = (self._steps < bounds[:, :1]) | (self._steps > bounds[:, 1:])
        logits[:, self.timestamp_begin :].masked_fill_(outside, -torch.inf)

    def remember(self, decoded: Sequence[int]) -> tuple[int, int, int]:
        """Return one row's numbers for `Memory`; decoded: as for `limits`, at least one token."""
        begin = self.timestamp_begin
        last_stamp = next((token - begin for token in reversed(decoded) if token >= begin), -1)
        return int(decoded[-1] >= begin), int(len(decoded) == 1 or decoded[-2] >= begin), last_stamp

    def follow(self, memory: Memory, token: Tensor) -> Memory:
        """Return what is to be known once each row has written its `token`, (n,) long."""
        stamped = (token >= self.timestamp_begin).long()
        return Memory(
            stamped, memory.stamped, torch.where(stamped > 0, token - self.timestamp_begin, memory.last_stamp)
        )

    def confine(self, logits: Tensor, memory: Memory) -> None:
        """Do what `restrict` does, from what the device knows; nothing here waits for the host."""
        stamped, last = memory.stamped > 0, memory.last_stamp
        paired = memory.paired > 0
        beyond = torch.full_like(last, self._last + 1)
        earliest = torch.where(stamped, torch.where(paired, beyond, last), last + 1)
        logits.index_fill_(1, self._never, -torch.inf)
        logits[:, : self.eot].masked_fill_((stamped & ~paired)[:, None], -torch.inf)
        logits[:, self.timestamp_begin :].masked_fill_(self._steps < earliest[:, None], -torch.inf)

    def choose_next(self, logits: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return what `choose` returns, for one position of each row."""
        self.confine(logits, memory)
        return self._best(logits)

    def apply(self, logits: Tensor, limits: Sequence[Limits]) -> Tensor:
        """Apply every rule in place; return the logits. Shapes as in `restrict`."""
        self.restrict(logits, limits)
        text, stamps = logits[:, : self.timestamp_begin], logits[:, self.timestamp_begin :]
        # If all timestamps together are likelier than any one text token, it is a timestamp.
        stamped = stamps.float().logsumexp(dim=1) > text.amax(dim=1)
        text.masked_fill_(stamped[:, None], -torch.inf)
        return logits

    def choose(self, logits: Tensor, limits: Sequence[Limits]) -> tuple[Tensor, Tensor]:
        """Return the best token of each position and its log-probability among what is allowed, each (n,).

        The same as the argmax and log-softmax of `apply`, without the passes over the vocabulary that it would take
        to write the mask. Logits are float32 and are changed.
        """
        self.restrict(logits, limits)
        return self._best(logits)

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh timestamps against text; return the best token and its log-probability among what is allowed."""
        text, stamps = logits[:, : self.timestamp_begin], logits[:, self.timestamp_begin :]
        stamp_mass = stamps.logsumexp(dim=1)
        best_text, text_token = largest(text)
        # A logarithm of a sum of exponentials whose maximum is known. NaN where no text may come: then it is not read.
        text_mass = best_text + (text - best_text[:, None]).exp_().sum(dim=1).log_()
        best_stamp, stamp_token = stamps.max(dim=1)
        stamped = stamp_mass > best_text
        token = torch.where(stamped, stamp_token + self.timestamp_begin, text_token)
        mass = torch.where(stamped, stamp_mass, torch.logaddexp(stamp_mass, text_mass))
        return token, torch.where(stamped, best_stamp, best_text) - mass


def largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `values.max(dim=1)` returns, for (n, m): the largest value of each row, and where it is first.

    On a CPU torch finds a largest value a dozen times faster than its place. So the block that has it is found first,
    and then the place in that block.
    """
    whole = values.shape[1] // BLOCK * BLOCK
    if values.is_cuda or whole == 0:
        found = values.max(dim=1)
        return found.values, found.indices
    blocks = values[:, :whole].view(len(values), -1, BLOCK).amax(dim=2)
    rest = values[:, whole:]
    if rest.shape[1]:
        blocks = torch.cat([blocks, rest.amax(dim=1, keepdim=True)], dim=1)
    start = blocks.argmax(dim=1, keepdim=True) * BLOCK
    # Beyond the last row's end its last value is seen again, which is not the first.
    places = (start + torch.arange(BLOCK, device=values.device)).clamp_(max=values.shape[1] - 1)
    place = places.gather(1, values.gather(1, places).argmax(dim=1, keepdim=True))
    return values.gather(1, place)[:, 0], place[:, 0]
