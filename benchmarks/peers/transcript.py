"""Words of a text that comes in pieces."""

from __future__ import annotations

from benchmarks.pairing import words_of


class Transcript:
    """Text that only grows. A piece may end within a word, and the next one go on with it."""

    def __init__(self) -> None:
        self._open = ""
        """What stands after the last space: perhaps the beginning of a word."""

    def append(self, piece: str) -> tuple[tuple[str, ...], int]:
        """Add a piece: return the words it brings, and how many of those before it changes (a word it goes on with)."""
        before = words_of(self._open)
        text = self._open + piece
        words = words_of(text)
        kept = 0
        while kept < min(len(before), len(words)) and before[kept] == words[kept]:
            kept += 1
        self._open = "" if text[-1:].isspace() else text.rpartition(" ")[2]
        return tuple(words[kept:]), len(before) - kept
