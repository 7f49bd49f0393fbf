"""The work that is measured: one update of a window of audio, with a draft that has a share of the text right."""

from __future__ import annotations

from dataclasses import dataclass

from model.decoding.parts import REFRESH
from model.types import Samples, Segment, Word

WRONG = 11
"""What is added to a token to make it wrong; the script's tokens lie elsewhere."""


@dataclass(frozen=True, slots=True)
class Work:
    """One update."""

    audio: Samples
    tokens: tuple[int, ...]
    """What will be said: timestamp, text, timestamp."""
    end: int
    """Sample at which the text ends."""
    acceptance: float | None = None
    """Share of the text's tokens that the draft has right; None for no draft."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What a draft does not have right of a text."""

    missing: int
    """Words at the end, which are not in the draft: the last update had the least audio there."""
    wrong: frozenset[int]
    """Places of tokens that are other ones."""


def mean_update(part: float, whole: float) -> float:
    """Return what an update costs on average where positions are used again: one in so many computes all of them."""
    return ((REFRESH - 1) * part + whole) / REFRESH


def spoil(words: int, bad: int) -> Damage:
    """Return what is not right where `bad` of so many words are not: half missing, half wrong and evenly spread.

    A scripted text depends on places alone, so that what is chosen after a wrong token is always right, and is right
    when it is tried next; what is missing is decoded token by token. In real streams of the demo model the former held
    in 82 of 100 (docs/decisions.md), here for half of what is not right.
    """
    missing = (bad + 1) // 2
    wrong, left = bad - missing, words - missing
    return Damage(missing, frozenset((2 * index + 1) * left // (2 * wrong) for index in range(wrong)))


def damage(count: int, acceptance: float) -> Damage:
    """Return what is not right in the draft of a text of `count` tokens of which a share of `acceptance` is right.

    The text is a timestamp, words of one token, a timestamp; the two timestamps are the last to become wrong.
    """
    bad = round((1 - acceptance) * count)
    text = min(bad, count - 2)
    words = spoil(count - 2, text)
    places = {1 + place for place in words.wrong}
    return Damage(words.missing, frozenset(places | set((count - 1, 0)[: bad - text])))


def drafted(work: Work) -> tuple[Segment, ...]:
    """Return the draft of an update, none without an acceptance; words are of one token each."""
    if work.acceptance is None:
        return ()
    bad = damage(len(work.tokens), work.acceptance)
    said = [token + WRONG if place in bad.wrong else token for place, token in enumerate(work.tokens)]
    text = said[1 : len(said) - 1 - bad.missing]
    start = 3200 if 0 in bad.wrong else 0
    end = work.end - 3200 if len(said) - 1 in bad.wrong else work.end
    step = max(1, (end - start) // max(1, len(text)))
    words = tuple(_word(token, start + step * place, step) for place, token in enumerate(text))
    return (Segment(start, end, words),)


def _word(token: int, start: int, length: int) -> Word:
    return Word(f" {token}", start, start + length, 1.0, (token,))
