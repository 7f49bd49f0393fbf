"""Beam search: several continuations of each input side by side, the best ones kept.

Source: transformers generation/utils.py, _beam_search, whose order of steps and arithmetic this follows, so that scores
and ties come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.generation.assembly import Plan
from model.generation.processors import read_prompt
from model.generation.reader import Reader
from model.generation.record import Record, last_logits
from model.generation.sampling import padding_of
from model.generation.tokens import token_ids

NEVER = -1.0e9
"""What keeps a beam from being chosen; finite, as sums of it must stay ordered."""


@dataclass(slots=True)
class Beams:
    """Sequences of every input, with what they are worth and where they came from."""

    sequences: Tensor
    """(batch, beams, max_length) tokens, filled up."""
    scores: Tensor
    """(batch, beams)."""
    origins: Tensor
    """(batch, beams, max_length - prompt) int32: the row of batch * num_beams each new token was chosen for, or -1."""

    def best(self, places: Tensor) -> Beams:
        """Take the beams at `places` (batch, n)."""
        return Beams(_take(self.sequences, places), _take(self.scores, places), _take(self.origins, places))

    def with_others(self, others: Beams) -> Beams:
        """Put both side by side."""
        return Beams(
            torch.cat([self.sequences, others.sequences], dim=1),
            torch.cat([self.scores, others.scores], dim=1),
            torch.cat([self.origins, others.origins], dim=1),
        )


def _take(values: Tensor, places: Tensor) -> Tensor:
    """Take `places` (batch, n) along the second dimension."""
    return values.take_along_dim(places.reshape(places.shape + (1,) * (values.ndim - 2)), dim=1)


class BeamSearch:
    """One search over one batch."""

    def __init__(self, input_ids: Tensor, plan: Plan) -> None:
        """input_ids: (batch, prompt)."""
        self._config, self._processors, self._criteria = plan.config, plan.processors, plan.criteria
        config = plan.config
        assert config.num_beams is not None
        assert config.max_length is not None
        assert config.length_penalty is not None
        self._beams = config.num_beams
        self._penalty = config.length_penalty
        self._batch, self._prompt = input_ids.shape
        self._length = self._prompt
        ends = 0 if config.eos_token_id is None else len(token_ids(config.eos_token_id))
        # So many that enough are left to go on with if every beam is offered all ends.
        self._candidates = max(2, 1 + ends) * self._beams
        device = input_ids.device
        shape = (self._batch, self._beams)
        filling = -1 if config.eos_token_id is None else padding_of(config)
        sequences = torch.full((*shape, config.max_length), filling, device=device)
        sequences[:, :, : self._prompt] = input_ids[:, None]
        origins = torch.full((*shape, config.max_length - self._prompt), -1, dtype=torch.int32, device=device)
        # All beams are alike at first: only one of them may be continued.
        first = torch.zeros(shape, device=device)
        first[:, 1:] = NEVER
        self._running = Beams(sequences, first, origins)
        self._finished = Beams(sequences.clone(), torch.full(shape, NEVER, device=device), origins.clone())
        self._complete = torch.zeros(shape, dtype=torch.bool, device=device)
        self._improvable = torch.ones((self._batch, 1), dtype=torch.bool, device=device)

    def run(self, reader: Reader, record: Record) -> Beams:
        """Search; return the finished beams, best first, cut to the longest."""
        output = reader.read(self._running.sequences[:, 0, : self._prompt])
        read_prompt(self._processors, output.logits)
        record.traces(output, self._beams)
        logits = last_logits(output).repeat_interleave(self._beams, dim=0)
        reader.repeat(self._beams)
        while True:
            offered = self._offer(logits, record)
            ended = self._ended(offered, record)
            self._continue(offered, ended)
            self._finish(offered, ended)
            self._length += 1
            if not self._goes_on(ended):
                return self._result()
            reader.reorder(self._running.origins[..., self._length - 1 - self._prompt].flatten().long())
            output = reader.read(self._running.sequences[:, :, : self._length].flatten(0, 1))
            record.traces(output)
            logits = last_logits(output)

    def _offer(self, logits: Tensor, record: Record) -> Beams:
        """Return the best continuations by one token, or drawn ones, of all beams of each input."""
        ids = self._running.sequences[:, :, : self._length].flatten(0, 1)
        scores = self._processors(ids, logits.log_softmax(dim=-1))
        record.choice(scores.clone(), logits)
        size = scores.shape[-1]
        total = (scores.reshape(self._batch, self._beams, size) + self._running.scores[..., None]).flatten(1)
        if self._config.do_sample:
            places = torch.multinomial(total.softmax(dim=-1), num_samples=self._candidates)
            values = total.gather(1, places)
        else:
            values, places = total.topk(self._candidates)
        beams = places // size
        offered = self._running.best(beams)
        offered.scores = values
        offered.sequences[:, :, self._length] = places % size
        rows = torch.arange(self._batch, device=places.device)[:, None] * self._beams + beams
        offered.origins[:, :, self._length - self._prompt] = rows.to(torch.int32)
        return offered

    def _ended(self, offered: Beams, record: Record) -> Tensor:
        """Say which continuations end, (batch, candidates) bool."""
        ids = offered.sequences[:, :, : self._length + 1].flatten(0, 1)
        return self._criteria(ids, record.scores).view(self._batch, self._candidates)

    def _continue(self, offered: Beams, ended: Tensor) -> None:
        """Go on with the best that have not ended."""
        scores = offered.scores + ended.float() * NEVER
        self._running = Beams(offered.sequences, scores, offered.origins).best(scores.topk(self._beams).indices)

    def _finish(self, offered: Beams, ended: Tensor) -> None:
        """Keep what has ended now if it is better than what had ended before."""
        # The others are there to go on with; they are no results.
        first = torch.arange(self._candidates, device=ended.device) < self._beams
        ended = ended & first
        scores = offered.scores / (self._length + 1 - self._prompt) ** self._penalty
        if self._config.early_stopping is True:
            scores = scores + self._complete.all(dim=1, keepdim=True).float() * NEVER
        scores = scores + (~self._improvable).float() * NEVER
        scores = scores + (~ended).float() * NEVER
        both = self._finished.with_others(Beams(offered.sequences, scores, offered.origins))
        places = both.scores.topk(self._beams).indices
        self._complete = _take(torch.cat([self._complete, ended], dim=1), places)
        self._finished = both.best(places)

    def _goes_on(self, ended: Tensor) -> bool:
        """Say whether another step can bring anything better."""
        worst = torch.where(self._complete, self._finished.scores.amin(dim=1, keepdim=True), NEVER)
        hoped = self._running.scores[:, :1] / self._hoped_length() ** self._penalty
        self._improvable = self._improvable & (hoped > worst).any(dim=1, keepdim=True)
        full = self._config.early_stopping is True and bool(self._complete.all())
        return bool(self._improvable.any()) and not full and not bool(ended.all())

    def _hoped_length(self) -> int:
        """Return the new tokens that the best running beam is judged by."""
        if self._config.early_stopping == "never" and self._penalty > 0:
            assert self._config.max_length is not None
            return self._config.max_length - self._prompt
        return self._length - self._prompt

    def _result(self) -> Beams:
        """Return what was asked for, one row each."""
        wanted = self._config.num_return_sequences or 1
        sequences, scores, origins = (
            values[:, :wanted].flatten(0, 1)
            for values in (self._finished.sequences, self._finished.scores, self._finished.origins)
        )
        new = int((origins >= 0).sum(dim=1).max())
        return Beams(sequences[:, : self._prompt + new], scores, origins[:, :new])
