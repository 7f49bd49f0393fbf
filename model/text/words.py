"""Where words begin and end in a token sequence, whatever the bytes of the tokens.

Source: openai/whisper tokenizer.py (`split_to_word_tokens`) and timing.py (`merge_punctuations`); the grouping is the
same on valid text, and here on byte boundaries, so that broken UTF-8 loses nothing.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Unit: TypeAlias = tuple[str, tuple[int, ...]]
"""Text and its tokens."""

PREPENDED = "\"'“¡¿([{-"
"""Punctuation that belongs to the word after it."""
APPENDED = "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word before it."""


def split_words(
    pieces: Sequence[tuple[int, bytes]], eot: int, *, spaces: bool = True, merge: bool = True
) -> list[Unit]:
    """Split tokens, given with their bytes, into words with their tokens.

    spaces: words end at spaces, else every character is one; merge: attach punctuation to its word; eot: tokens from
    here on are special and words of their own.
    """
    units = split_characters(pieces)
    words = join_words(units, eot) if spaces else units
    return merge_punctuation(words) if merge else words


def split_characters(pieces: Sequence[tuple[int, bytes]]) -> list[Unit]:
    """Group tokens, given with their bytes, into the shortest units that are whole characters.

    The texts joined are the bytes decoded with replacement of what is no UTF-8; an unfinished character at the end is a
    unit of its own.
    """
    data = b"".join(piece for _, piece in pieces)
    ends = _character_ends(data)
    units: list[Unit] = []
    tokens: list[int] = []
    first = last = 0
    for token, piece in pieces:
        tokens.append(token)
        last += len(piece)
        if last in ends:
            units.append((data[first:last].decode(errors="replace"), tuple(tokens)))
            tokens, first = [], last
    return units


def _character_ends(data: bytes) -> set[int]:
    """Say after which bytes a character, or a run that is none, is over."""
    ends = {len(data)}
    at = 0
    while at < len(data):
        try:
            data[at:].decode()
        except UnicodeDecodeError as error:
            broken, resume = at + error.start, at + error.end
        else:
            broken = resume = len(data)
        # Within valid text a character begins wherever a byte is not a continuation byte.
        ends.update(i for i in range(at, broken) if data[i] & 0xC0 != 0x80)
        ends.update((broken, resume))
        at = resume
    return ends


def join_words(units: Iterable[Unit], eot: int) -> list[Unit]:
    """Join units into words: one begins at a space, at punctuation, and at a special token (`eot` or above)."""
    words: list[Unit] = []
    for text, tokens in units:
        starts = tokens[0] >= eot or text.startswith(" ") or text.strip() in string.punctuation
        if starts or not words:
            words.append((text, tokens))
        else:
            before, before_tokens = words[-1]
            words[-1] = (before + text, before_tokens + tokens)
    return words


def merge_punctuation(words: Sequence[Unit]) -> list[Unit]:
    """Attach opening punctuation to the word after it and closing punctuation to the word before it."""
    opened: list[Unit] = []
    for text, tokens in reversed(words):
        if opened and text.startswith(" ") and text.strip() in PREPENDED:
            after, after_tokens = opened[-1]
            opened[-1] = (text + after, tokens + after_tokens)
        else:
            opened.append((text, tokens))
    merged: list[Unit] = []
    for text, tokens in reversed(opened):
        if merged and not merged[-1][0].endswith(" ") and text in APPENDED:
            before, before_tokens = merged[-1]
            merged[-1] = (before + text, before_tokens + tokens)
        else:
            merged.append((text, tokens))
    return merged
