"""Text without capitals and punctuation, for those who want words alone."""

from __future__ import annotations


def bare(text: str) -> str:
    """Return a word without capitals and the punctuation around it; punctuation alone stays as it is."""
    first = next((index for index, letter in enumerate(text) if letter.isalnum()), 0)
    last = next((index for index in range(len(text), 0, -1) if text[index - 1].isalnum()), len(text))
    return text[first:last].lower()


def plain(text: str) -> str:
    """Return the bare words of a text, one space between two."""
    return " ".join(bare(word) for word in text.split())
