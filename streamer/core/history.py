"""What was said before the window: the prompt of the next request."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from model.types import Word


class History:
    """The newest committed words that have left the window; whole words, within a limit of tokens."""

    def __init__(self, limit: int) -> None:
        """Start empty; `limit` in tokens."""
        self._limit = limit
        self._words: deque[Word] = deque()
        self._size = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of all words, oldest first."""
        return tuple(token for word in self._words for token in word.tokens)

    def add(self, words: Iterable[Word]) -> None:
        """Append words; the oldest make room."""
        for word in words:
            self._words.append(word)
            self._size += len(word.tokens)
        while self._size > self._limit:
            self._size -= len(self._words.popleft().tokens)

    def clear(self) -> None:
        """Forget everything."""
        self._words.clear()
        self._size = 0
