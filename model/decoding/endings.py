"""Ends of texts that are in doubt: whether more was said is asked once more, and heard if the answer is sure.

Theory of operation. A decoder ends a text where the end of text is likelier than anything else. Where nothing was said
any more a model is sure of that; where it passes over the last words of the audio, as over the second of two that are
alike, it is a little less sure. Then the text goes on by force, and what comes is taken if it is as sure as words that
were said are, and so is its own end. How sure a model is of true ends is the model's own, so its card has to say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp

import torch

from model.decoding.decode import BatchDecoder
from model.decoding.encode import Encoded
from model.decoding.guards import Guards
from model.decoding.rows import Decoded, DecodeRow
from model.layers.window_memory import AttentionMemory

MOST = 32
"""Tokens of what was passed over: some dozen words. What goes on for longer was none."""


class Endings:
    """Makes doubtful ends sure, with the decoder that made them."""

    def __init__(self, decoder: BatchDecoder, guards: Guards, eot: int) -> None:
        """eot: the end-of-text token, below which is text."""
        self._decoder = decoder
        self._guards = guards
        self._eot = eot

    def settle(
        self,
        encoded: Encoded,
        known: Sequence[AttentionMemory | None],
        rows: Sequence[DecodeRow],
        found: Sequence[Decoded],
        final: Sequence[bool],
    ) -> list[Decoded]:
        """Return what rows become: `found`, longer where more was said.

        encoded, known, rows: of the greedy decode that found it, see `BatchDecoder.decode`, one `known` for each row;
        final: which texts are. The others end within a word mostly, and are asked about again anyhow.
        """
        settled = list(found)
        places = [place for place, row in enumerate(rows) if final[place] and self._doubtful(row, found[place])]
        if not places:
            return settled
        chosen = torch.tensor(places, device=encoded.audio.device)
        again = self._decoder.decode(
            encoded.audio[chosen],
            None if encoded.lengths is None else encoded.lengths[chosen],
            [_going_on(rows[place], found[place]) for place in places],
            known=[known[place] for place in places],
        )
        for place, more in zip(places, again, strict=True):
            settled[place] = _joined(found[place], more, taken=self._sure(more))
        return settled

    def _doubtful(self, row: DecodeRow, found: Decoded) -> bool:
        """Say whether a text has words, and an end that is not sure."""
        unsure = found.ended and exp(found.log_probabilities[-1]) < self._guards.sure_end
        return unsure and any(token < self._eot for token in (*row.prefix, *found.tokens))

    def _sure(self, more: Decoded) -> bool:
        """Say whether what came by force has words, all of them sure, and a sure end of its own."""
        chosen = zip(more.tokens, more.log_probabilities, strict=False)
        words = [log_probability for token, log_probability in chosen if token < self._eot]
        least = exp(min(*words, more.log_probabilities[-1])) if words and more.ended else 0.0
        return least > self._guards.sure_words


def _going_on(row: DecodeRow, found: Decoded) -> DecodeRow:
    """Return the row that goes on where a text has ended."""
    limit = min(row.limit - len(found.tokens), MOST)
    return replace(row, prefix=(*row.prefix, *found.tokens), draft=(), limit=limit, endless=True)


def _joined(found: Decoded, more: Decoded, *, taken: bool) -> Decoded:
    """Return a text with what came behind it, or as it was; its cost is that of both."""
    cost = {name: getattr(found, name) + getattr(more, name) for name in ("passes", "drafted", "accepted")}
    if not taken:
        return replace(found, **cost)
    return replace(
        found,
        tokens=found.tokens + more.tokens,
        log_probabilities=found.log_probabilities[:-1] + more.log_probabilities,
        attention=more.attention,
        **cost,
    )
