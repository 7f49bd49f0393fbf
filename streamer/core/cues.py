"""Cut words with times into subtitle cues: at most two lines of 42 columns, in order, never overlapping. Pure.

The limits are those of the Netflix Timed Text Style Guide: 42 columns, two lines, 5/6 s to 7 s. A column is a terminal
cell, so that a Chinese or Japanese line holds 21 characters.

Words may come bit by bit: a cue is told once it cannot change any more, that is when it is known what follows it or
that nothing does. Where text must be broken, it is broken at the end of a clause, if one ends near enough: after its
punctuation, or where the speaker paused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from model.types import SAMPLE_RATE, Word

LINE_CELLS = 42
SHORTEST_MS = 833
"""A cue stays at least this long where the next one allows it."""
LONGEST_MS = 7_000
PAUSE_MS = 1_000
"""A silence this long starts a new cue."""
BREATH_MS = 250
"""A silence this long ends a clause."""
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "؟", "।")
CLAUSE_ENDS = (*SENTENCE_ENDS, ",", ";", ":", "—", "–", "，", "、", "；", "：", "،", "؛")
BREAKS = frozenset({"Cc", "Zl", "Zp", "Cs"})
"""Categories of characters that would break a line, or cannot be written."""
CLAUSE_CELLS = 14
"""How much less equal two lines may be for the first one to end with a clause."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Up to two lines of text and when they are shown."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or a part of one that is too long for a line."""

    text: str
    start_ms: int
    end_ms: int


class CueBuilder:
    """Makes cues of words that come in order, holding back no more than what the next cue will be made of."""

    def __init__(self) -> None:
        self._group: list[Piece] = []
        self._end = 0
        """Of the last cue, in ms."""

    def add(self, words: Iterable[Word]) -> list[Cue]:
        """Take the next words; return the cues that are complete now."""
        made = []
        for piece in _pieces(words):
            while size := _size(self._group, piece):
                following = self._group[size] if size < len(self._group) else piece
                made.append(self._cut(size, following.start_ms))
            self._group.append(piece)
        return made

    def finish(self) -> list[Cue]:
        """Return what is left, if anything is: nothing that belongs to it will follow."""
        return [self._cut(len(self._group), None)] if self._group else []

    def begin_at(self, start_ms: int) -> None:
        """Let no cue begin before a time, where one ends that somebody else has made."""
        self._end = max(self._end, start_ms)

    def _cut(self, size: int, limit: int | None) -> Cue:
        """Return the first pieces as a cue that ends, if that can be, at `limit`: where the next one starts."""
        group, self._group = self._group[:size], self._group[size:]
        start = max(group[0].start_ms, self._end)
        enough = start + SHORTEST_MS
        self._end = max(group[-1].end_ms, enough if limit is None else min(enough, limit), start + 1)
        if limit is not None and self._end > limit > start:
            self._end = limit
        return Cue(start, self._end, _lines(group))


def cues(words: Iterable[Word]) -> Iterator[Cue]:
    """Yield the cues of a transcript; times only move forward, and each cue ends before the next starts."""
    builder = CueBuilder()
    yield from builder.add(words)
    yield from builder.finish()


def clean(text: str) -> str:
    """Collapse white space and control characters: a line break inside a cue would end it.

    Format characters stay: Persian words and emoji are held together and apart by such as U+200C and U+200D.
    """
    printable = "".join(" " if unicodedata.category(character) in BREAKS else character for character in text)
    leading = " " if printable[:1] == " " else ""
    return leading + " ".join(printable.split())


def _pieces(words: Iterable[Word]) -> Iterator[Piece]:
    for word in words:
        text = clean(word.text)
        if not text.strip():
            continue
        parts = list(_parts(text))
        start, end = _milliseconds(word.start), max(_milliseconds(word.end), _milliseconds(word.start))
        step = (end - start) / len(parts)
        for index, part in enumerate(parts):
            yield Piece(part, round(start + step * index), round(start + step * (index + 1)))


def _parts(text: str) -> Iterator[str]:
    """Cut what is wider than a line, as text written without spaces may be."""
    part = ""
    for character in text:
        if cell_len((part + character).strip()) > LINE_CELLS:
            yield part
            part = ""
        part += character
    yield part


def _size(group: Sequence[Piece], piece: Piece) -> int:
    """Return how many of the group's pieces are a cue of their own now that `piece` follows; 0: they wait for more."""
    if not group:
        return 0
    shown_ms = group[-1].end_ms - group[0].start_ms
    if piece.start_ms - group[-1].end_ms >= PAUSE_MS:
        return len(group)
    if group[-1].text.endswith(SENTENCE_ENDS) and shown_ms >= SHORTEST_MS:
        return len(group)
    if piece.end_ms - group[0].start_ms > LONGEST_MS or not _lines([*group, piece]):
        return _clauses(group, piece)
    return 0


def _clauses(group: Sequence[Piece], piece: Piece) -> int:
    """Return how many pieces to show of a group that is full: up to its last clause's end, if that is worth a cue."""
    following = [*group[1:], piece]
    for size in range(len(group), 0, -1):
        shown_ms = group[size - 1].end_ms - group[0].start_ms
        if shown_ms < SHORTEST_MS or cell_len(_text(group[:size])) < LINE_CELLS // 2:
            break
        if _ends_clause(group[size - 1], following[size - 1]):
            return size
    return len(group)


def _ends_clause(piece: Piece, following: Piece) -> bool:
    return piece.text.endswith(CLAUSE_ENDS) or following.start_ms - piece.end_ms >= BREATH_MS


def _text(group: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in group).strip()


def _lines(group: Sequence[Piece]) -> tuple[str, ...]:
    """Lay the pieces out on one line, else on two of about one length, the first a whole clause if that can be.

    Empty if they do not fit.
    """
    whole = _text(group)
    if cell_len(whole) <= LINE_CELLS:
        return (whole,)
    layouts: list[tuple[int, tuple[str, str]]] = []
    for index in range(1, len(group)):
        above, below = _text(group[:index]), _text(group[index:])
        widths = cell_len(above), cell_len(below)
        if max(widths) <= LINE_CELLS:
            cost = abs(widths[0] - widths[1]) - CLAUSE_CELLS * _ends_clause(group[index - 1], group[index])
            layouts.append((cost, (above, below)))
    return min(layouts)[1] if layouts else ()


def _milliseconds(samples: int) -> int:
    return max(round(samples * 1000 / SAMPLE_RATE), 0)
