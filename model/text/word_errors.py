"""The numerator of the word error rate."""

from __future__ import annotations

from collections.abc import Sequence


def word_errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """Count substitutions, insertions and deletions between two word sequences (Levenshtein 1966)."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(heard, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(said, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]
