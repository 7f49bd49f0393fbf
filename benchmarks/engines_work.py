"""The work that is measured: one update of a window of audio, with a draft of which a share is right."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Share of the draft's tokens that are right; None for no draft."""


def wrong_places(count: int, acceptance: float) -> frozenset[int]:
    """Return which of `count` tokens of a draft are wrong.

    Every other wrong one is at the end, where the last update had the least audio; the others are spread evenly over
    what is left. The two timestamps are the last to become wrong.
    """
    wrong = round((1 - acceptance) * count)
    text = min(wrong, count - 2)
    late = (text + 1) // 2
    early, before = text - late, count - 2 - late
    places = {count - 2 - index for index in range(late)}
    places |= {1 + (2 * index + 1) * before // (2 * early) for index in range(early)}
    return frozenset(places | set((count - 1, 0)[: wrong - text]))


def drafted(work: Work) -> tuple[Segment, ...]:
    """Return the draft of an update, none without an acceptance; words are of one token each."""
    if work.acceptance is None:
        return ()
    wrong = wrong_places(len(work.tokens), work.acceptance)
    said = [token + WRONG if place in wrong else token for place, token in enumerate(work.tokens)]
    text = said[1:-1]
    start = 3200 if 0 in wrong else 0
    end = work.end - 3200 if len(said) - 1 in wrong else work.end
    step = max(1, (end - start) // len(text))
    words = tuple(_word(token, start + step * place, step) for place, token in enumerate(text))
    return (Segment(start, end, words),)


def _word(token: int, start: int, length: int) -> Word:
    return Word(f" {token}", start, start + length, 1.0, (token,))
