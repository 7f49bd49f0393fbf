"""One row of a batch while it is decoded: what is certain, what is guessed, what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

REALIGN = 8
"""How far ahead the rest of a draft is searched for a token that was chosen instead."""
PERIODS = range(1, 9)
"""Tokens of a phrase whose repetition is watched."""
COPIES = 4
"""Times it has to come at least."""
MISSES = 3
"""Passes in a row that may accept no guess before the rest of the draft is given up."""
PROBE = 10
"""Guesses that are fed after a wrong one at least; as a rule twice as many as held in the pass before. On a CPU what is
fed in vain costs time, and where few guesses hold the next wrong one is mostly near."""


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """What one row starts from; the budget of positions has been settled before."""

    head: tuple[int, ...]
    """Prompt and start-of-transcript sequence."""
    sot: int
    """Index of the start-of-transcript token in `head`."""
    prefix: tuple[int, ...] = ()
    """Forced: text and timestamps."""
    draft: tuple[int, ...] = ()
    """Guessed to follow the prefix."""
    limit: int = 224
    """New tokens at most."""
    longest_run: int = 1 << 30
    """Tokens of one phrase repeated on and on after which decoding stops: more than can have been said."""
    seed: int = 0
    """For sampling; a row's samples depend on nothing else."""
    endless: bool = False
    """Whether the first new token is anything but the end of text."""


@dataclass(slots=True)
class Decoded:
    """What one row became."""

    tokens: list[int] = field(default_factory=list)
    """After the prefix, end of text not included."""
    log_probabilities: list[float] = field(default_factory=list)
    """Of each token among what the rules allow, and of the end of text if it came."""
    ended: bool = False
    """Whether the end of text came; otherwise the limit did."""
    no_speech: float = 0.0
    """Probability of the no-speech token at the start-of-transcript token."""
    attention: Tensor | None = None
    """(heads, rows, n_audio_ctx) float32: row i is the query that chose token i of prefix and tokens; one more row if
    the end of text came."""
    stuck: bool = False
    """Whether it was stopped because one phrase came again and again."""
    passes: int = 0
    drafted: int = 0
    """Guesses: tokens of the draft, and those put in between or behind them on the way."""
    accepted: int = 0
    """Guesses that were right."""

    @property
    def average_log_probability(self) -> float:
        """Sum over tokens and end of text, by the number of tokens plus one. Source: openai/whisper decoding.py."""
        return sum(self.log_probabilities) / (len(self.tokens) + 1)


class Row:
    """A row on its way; the tokens of one pass are those that are certain, then those that are guessed."""

    def __init__(self, row: DecodeRow, temperature: float, device: torch.device) -> None:
        self.start = row
        draft = [] if temperature > 0 else list(row.draft[: row.limit])
        self.generator = torch.Generator(device).manual_seed(row.seed) if temperature > 0 else None
        self.out = Decoded(drafted=len(draft))
        self.decoded = list(row.prefix)
        self.certain = [*row.head, *row.prefix]
        """Tokens to feed that will not be taken back."""
        self.draft = draft
        """Tokens to feed after them that may be."""
        self._later: list[int] = []
        """Tokens that may be after those."""
        self.misses = 0
        self._runs = dict.fromkeys(PERIODS, 0)
        self.position = 0
        """Of the first token to feed."""
        self.attention: list[Tensor] = []

    @property
    def done(self) -> bool:
        """Whether the end of text or the limit has come, or nothing new will come."""
        return self.out.ended or self.out.stuck or len(self.out.tokens) >= self.start.limit

    def receive(self, choices: Sequence[tuple[int, float]], eot: int) -> int:
        """Take the choices at the last certain token and at each guess; return how many hold."""
        draft, fed = self.draft, len(self.certain)
        for index, (token, log_probability) in enumerate(choices):
            self.out.log_probabilities.append(log_probability)
            if token == eot:
                self.out.ended = True
                return index + 1
            self._append(token)
            if self.done:
                return index + 1
            if index == len(draft) or draft[index] != token:
                break
            self.out.accepted += 1
        self.position += fed + index
        self.certain = [token]
        self.misses = 0 if index else self.misses + 1
        rest = draft[index:] + self._later
        if self.misses >= MISSES:
            rest = []
        elif rest[:1] == [token]:  # not fed, and right
            del rest[0]
        else:
            revised = revise(rest, token, [choice for choice, _ in choices[index + 1 :]], eot)
            self.out.drafted += max(0, len(revised) - max(0, len(rest) - 1))
            rest = revised
        del rest[self.start.limit - len(self.out.tokens) :]
        width = max(PROBE, 2 * index)
        self.draft, self._later = rest[:width], rest[width:]
        return index + 1

    def _append(self, token: int) -> None:
        """Add a new token and notice a loop."""
        new = self.out.tokens
        new.append(token)
        self.decoded.append(token)
        for period in PERIODS:
            # How many tokens in a row equal the one a period earlier.
            run = self._runs[period] + 1 if len(new) > period and new[-1 - period] == token else 0
            self._runs[period] = run
            if run + period > max(self.start.longest_run, COPIES * period):
                self.out.stuck = True


def revise(rest: Sequence[int], token: int, said: Sequence[int], eot: int) -> list[int]:
    """Return what to guess after `token`, which was chosen where rest[0] was guessed.

    rest: the draft from the wrong guess on; said: what was chosen after rest[0], after rest[1] and so on, as far as
    these were fed; eot: end of text, below which is text and above which are timestamps; it is never a guess.

    A timestamp in place of a timestamp, or a word in place of a word, changes little of what follows, and `said` has
    heard the new audio while the draft has not: it is believed first. Of 1,113 timestamps that were off, in continuous
    speech with the demo model, `said` had the next token right in 1,071, the draft in 687.
    Source: Santilli et al. 2023, Accelerating transformer inference by parallel decoding, algorithm 1: guesses that are
    replaced by the choices made after them.
    """
    if not rest:
        return []
    between = (token > eot) != (rest[0] > eot)
    ahead = list(rest[1 : 1 + REALIGN])
    left_out = ahead.index(token) + 1 if token in ahead and (between or token < eot) else 0
    if between and not left_out:
        # Text before a timestamp, or an end before text, whose segment then begins about there.
        return [token, *rest] if token > eot else list(rest)
    old, new = list(rest[left_out + 1 :]), list(said[left_out:])
    kept = [before if now == eot else now for before, now in zip(old, new, strict=False)]
    return kept + old[len(new) :] + [now for now in new[len(old) :] if now != eot]
