"""One token more for every row of a batch, from numbers that lie on the device.

Theory of operation. Once drafts are used up, each row advances by one token a pass. Such a pass has the same shapes
every time, so it need not be launched operation by operation: all it depends on lies in tensors whose place never
changes, it reads and writes only these, and it never waits for the host. That makes it a thing a GPU can record once
and replay (`graphs.py`), and lets the host read the tokens of one step while the next is under way (`tail.py`).

A row that is done stays where it is: it is fed the same token at the same position again, and nobody reads what comes.
The cell of its position is written anew, with the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.decoding.rows import Row
from model.layers.cache import DecoderCache
from model.layers.decoder import WhisperDecoder
from model.rules import LogitRules, Memory

SPAN = 32
"""Steps whose attention is collected before it is copied away; 64 rows, 10 heads, 1500 positions: 123 MB."""
FIELDS = 7
"""Numbers that are kept of each row."""


class StepState(NamedTuple):
    """What the next tokens depend on: views of one (FIELDS, batch) tensor of long numbers."""

    token: Tensor
    """To be fed."""
    position: Tensor
    """Its place."""
    stamped: Tensor
    paired: Tensor
    last_stamp: Tensor
    """These three: see `rules.Memory`."""
    room: Tensor
    """Tokens that may still come."""
    done: Tensor
    """1 if the end of text or the limit has come."""


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Where a step reads and writes; a graph has these addresses in it."""

    cache: DecoderCache
    state: Tensor
    """(FIELDS, batch) long."""
    chosen: Tensor
    """(2, batch) float64: token and log-probability of the last step."""
    attention: Tensor | None
    """(batch, heads, SPAN, n_audio_ctx) float32: of the alignment heads, one row a step; None if there are none."""
    count: Tensor
    """(1,) long: steps made, which is where the next row of attention goes."""

    @classmethod
    def make(cls, cache: DecoderCache, heads: int) -> StepPlace:
        """Allocate what belongs to a cache; heads: number of alignment heads."""
        keys = cache.layers[0].cross_keys
        batch, device = len(keys), keys.device
        seen = torch.zeros((batch, heads, SPAN, keys.shape[2]), device=device) if heads else None
        return cls(
            cache,
            torch.zeros((FIELDS, batch), dtype=torch.long, device=device),
            torch.zeros((2, batch), dtype=torch.float64, device=device),
            seen,
            torch.zeros(1, dtype=torch.long, device=device),
        )

    @property
    def batch(self) -> int:
        """Rows."""
        return self.state.shape[1]


class DecodeStep:
    """The step itself: call it, and every row has one more token."""

    def __init__(
        self,
        decoder: WhisperDecoder,
        head: Callable[[Tensor], Tensor],
        rules: LogitRules,
        heads: Sequence[tuple[int, int]],
        place: StepPlace,
    ) -> None:
        """head: hidden states (n, d_model) to float32 logits; heads: alignment heads, (layer, head) pairs."""
        self._decoder = decoder
        self._head = head
        self._rules = rules
        self._heads = tuple(heads)
        self.place = place

    def load(self, rows: Sequence[Row]) -> None:
        """Put rows into the first places, each with one token to feed; what is left over is done."""
        place = self.place
        cells = place.cache.capacity
        # A done row may write its cell; the last one is never a token's own.
        idle = (self._rules.eot, cells - 1, 0, 0, -1, 0, 1)
        values = [idle if row.done else self._fields(row) for row in rows]
        values += [idle] * (place.batch - len(rows))
        place.state.copy_(pinned(torch.tensor(values).T.contiguous(), place.state.device), non_blocking=True)
        place.count.zero_()

    def _fields(self, row: Row) -> tuple[int, int, int, int, int, int, int]:
        (token,) = row.certain
        stamped, paired, last_stamp = self._rules.remember(row.decoded)
        return token, row.position, stamped, paired, last_stamp, row.start.limit - len(row.out.tokens), 0

    def __call__(self) -> None:
        """Advance every row by one token; what is left in `place.chosen`, the next call writes over."""
        place = self.place
        now = StepState(*place.state.unbind())
        hidden, seen = self._decoder.extend(now.token[:, None], now.position[:, None], place.cache, self._heads)
        memory = Memory(now.stamped, now.paired, now.last_stamp)
        token, log_probability = self._rules.choose_next(self._head(hidden[:, 0]), memory)
        place.chosen.copy_(torch.stack([token.double(), log_probability.double()]))
        if seen is not None and place.attention is not None:
            place.attention.index_copy_(2, place.count, seen)
        place.count.add_(1)
        place.state.copy_(self._after(now, memory, token))

    def _after(self, now: StepState, memory: Memory, token: Tensor) -> Tensor:
        """Return the state after `token`; rows that were done before keep theirs.

        A row that ends here may be fed its last token, unread: its room ends a cell before the cache does.
        """
        room = now.room - 1
        ended = ((token == self._rules.eot) | (room < 1)).long()
        following = StepState(token, now.position + 1, *self._rules.follow(memory, token), room, ended)
        return torch.where(now.done > 0, self.place.state, torch.stack([*following]))


def pinned(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` in memory that a GPU can fetch by itself, if they are for one."""
    return values.pin_memory() if device.type == "cuda" else values
