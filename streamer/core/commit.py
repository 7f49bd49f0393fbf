"""Which words of a hypothesis are safe to say for good.

Source: Macháček et al. 2023 (LocalAgreement-2), changed in three ways: words are compared by normalised text, aligned
as one sequence of characters, so that a flip of case or punctuation or another split into words does not stop
agreement; the committed text is forced on the decoder, so nothing has to be searched for and removed again, and a word
that is really said twice stays twice; words near the end of the audio wait.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Protocol

from model.types import Word


class CommitPolicy(Protocol):
    """Decides how many words of the uncommitted tail may be committed; one per utterance."""

    def update(self, tail: Sequence[Word], heard: int) -> int:
        """Return how many words of `tail` to commit; `heard` is the sample index where the audio ends.

        `tail` is the newest hypothesis after everything committed so far.
        """
        ...

    def skip(self, count: int) -> None:
        """Take note that `count` more words than update() said were committed, for another reason."""
        ...

    def finish(self, tail: Sequence[Word]) -> int:
        """Return how many words of the final hypothesis to commit: all, unless the policy distrusts the end."""
        ...


def normalise(text: str) -> str:
    """Fold case and width, and keep letters, marks and digits only. "So," and "so" are the same word."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(filter(is_spoken, folded))
    return unicodedata.normalize("NFC", kept)  # a mark may now stand beside another letter


def is_spoken(character: str) -> bool:
    """Say whether a character is of a word: a letter, a mark on one, or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def agreed_words(previous: Sequence[Word], current: Sequence[Word]) -> int:
    """Count the words at the start of `current` that `previous` says as well.

    Both are written as one string of normalised characters; the agreement is their common prefix, cut back to a place
    where both have a word boundary.
    """
    before, now = [normalise(w.text) for w in previous], [normalise(w.text) for w in current]
    pairs = zip("".join(before), "".join(now), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    boundaries = set(accumulate(len(w) for w in before))
    agreed = 0
    for count, end in enumerate(accumulate(len(w) for w in now), start=1):
        if end > common:
            break
        if end and end in boundaries:
            agreed = count
    return agreed


class LocalAgreement:
    """Commits what two consecutive hypotheses agree on, but for words within `margin` samples of the end."""

    def __init__(self, margin: int) -> None:
        self._margin = margin
        self._previous: tuple[Word, ...] = ()

    def update(self, tail: Sequence[Word], heard: int) -> int:
        """Return the length of the agreement; see CommitPolicy."""
        count = agreed_words(self._previous, tail)
        while count and tail[count - 1].end > heard - self._margin:
            count -= 1
        self._previous = tuple(tail[count:])
        return count

    def skip(self, count: int) -> None:
        """Forget the first words of the last tail."""
        self._previous = self._previous[count:]

    def finish(self, tail: Sequence[Word]) -> int:
        """Commit everything: no more audio will come to change it."""
        self._previous = ()
        return len(tail)
