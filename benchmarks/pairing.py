"""Which heard word is which spoken one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

EDIT, PAIR = 1 << 20, -1
"""Costs: one edit more is worse than any number of pairs is good."""


def words_of(text: str) -> list[str]:
    """Split text into words, without case and punctuation."""
    return re.findall(r"[\w']+", text.lower())


def pair_words(spoken: Sequence[str], heard: Sequence[str], *, unfinished: bool = False) -> dict[int, int]:
    """Pair equal words in order, as the fewest edits do: index in heard by index in spoken.

    Where several ways have as few edits, the one with the most pairs is taken.

    unfinished: what was heard so far may end anywhere; words spoken after that cost nothing.
    """
    rows, columns = len(spoken) + 1, len(heard) + 1
    cost = [[EDIT * (row + column) if not (row and column) else 0 for column in range(columns)] for row in range(rows)]
    for row in range(1, rows):
        for column in range(1, columns):
            change = cost[row - 1][column - 1] + (EDIT if spoken[row - 1] != heard[column - 1] else PAIR)
            cost[row][column] = min(change, cost[row - 1][column] + EDIT, cost[row][column - 1] + EDIT)
    row = min(range(rows), key=lambda r: (cost[r][-1], abs(r - len(heard)))) if unfinished else rows - 1
    column, pairs = columns - 1, {}
    while row and column:
        equal = spoken[row - 1] == heard[column - 1]
        if cost[row][column] == cost[row - 1][column - 1] + (PAIR if equal else EDIT):
            row, column = row - 1, column - 1
            if equal:
                pairs[row] = column
        elif cost[row][column] == cost[row - 1][column] + EDIT:
            row -= 1
        else:
            column -= 1
    return dict(sorted(pairs.items()))


@dataclass(frozen=True, slots=True)
class Gap:
    """Where what was spoken and what was heard differ: a stretch between two pairs."""

    spoken: range
    """Indices of the spoken words in it."""
    heard: range
    """Indices of the heard ones."""

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions: the numerator of the word error rate."""
        return max(len(self.spoken), len(self.heard))

    @property
    def deleted(self) -> int:
        """Spoken words in whose place nothing stands."""
        return max(len(self.spoken) - len(self.heard), 0)

    @property
    def inserted(self) -> int:
        """Heard words that stand in no other's place."""
        return max(len(self.heard) - len(self.spoken), 0)


def gaps(pairs: Mapping[int, int], spoken: int, heard: int) -> Iterator[Gap]:
    """Yield where two texts of so many words differ; pairs: from `pair_words`. Their errors add up to its edits."""
    row = column = 0
    for index, place in [*pairs.items(), (spoken, heard)]:
        if index > row or place > column:
            yield Gap(range(row, index), range(column, place))
        row, column = index + 1, place + 1
