"""Text without capitals and punctuation, for those who want words alone."""

from __future__ import annotations

from streamer.core.commit import is_spoken


def bare(text: str) -> str:
    """Return a word without capitals and the punctuation around it; punctuation alone stays as it is.

    Letters, digits and the marks on them stay: a vowel sign at the end of a word is a mark, and a part of the word.
    """
    first = next((index for index, character in enumerate(text) if is_spoken(character)), 0)
    last = next((index for index in range(len(text), 0, -1) if is_spoken(text[index - 1])), len(text))
    return text[first:last].lower()


def plain(text: str) -> str:
    """Return the bare words of a text, one space between two."""
    return " ".join(bare(word) for word in text.split())
