"""Cut words with times into subtitle cues: at most two lines of 42 columns, in order, never overlapping. Pure.

The limits are those of the Netflix Timed Text Style Guide: 42 columns, two lines, 5/6 s to 7 s. A column is a terminal
cell, so that a Chinese or Japanese line holds 21 characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from model.types import SAMPLE_RATE, Word

LINE_CELLS = 42
SHORTEST_MS = 833
"""A cue stays at least this long where the next one allows it."""
LONGEST_MS = 7_000
PAUSE_MS = 1_000
"""A silence this long starts a new cue."""
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "؟", "।")


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


def cues(words: Iterable[Word]) -> Iterator[Cue]:
    """Yield the cues of a transcript; times only move forward, and each cue ends before the next starts."""
    raw = [_cue(group) for group in _groups(_pieces(words))]
    end = 0
    for index, cue in enumerate(raw):
        start = max(cue.start_ms, end)
        limit = raw[index + 1].start_ms if index + 1 < len(raw) else start + SHORTEST_MS
        end = max(cue.end_ms, min(start + SHORTEST_MS, limit), start + 1)
        if index + 1 < len(raw) and end > limit > start:
            end = limit
        yield replace(cue, start_ms=start, end_ms=end)


def clean(text: str) -> str:
    """Collapse white space and control characters: a line break inside a cue would end it."""
    printable = "".join(character if character.isprintable() else " " for character in text)
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


def _groups(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    group: list[Piece] = []
    for piece in pieces:
        if group and _must_break(group, piece):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _must_break(group: Sequence[Piece], piece: Piece) -> bool:
    shown_ms = group[-1].end_ms - group[0].start_ms
    return (
        piece.start_ms - group[-1].end_ms >= PAUSE_MS
        or piece.end_ms - group[0].start_ms > LONGEST_MS
        or (group[-1].text.endswith(SENTENCE_ENDS) and shown_ms >= SHORTEST_MS)
        or not _lines([*group, piece])
    )


def _cue(group: Sequence[Piece]) -> Cue:
    return Cue(group[0].start_ms, group[-1].end_ms, _lines(group))


def _lines(group: Sequence[Piece]) -> tuple[str, ...]:
    """Lay the pieces out on one line, else on the two most equal ones; empty if they do not fit."""
    whole = "".join(piece.text for piece in group).strip()
    if cell_len(whole) <= LINE_CELLS:
        return (whole,)
    layouts: list[tuple[int, tuple[str, str]]] = []
    for index in range(1, len(group)):
        above = "".join(piece.text for piece in group[:index]).strip()
        below = "".join(piece.text for piece in group[index:]).strip()
        widths = cell_len(above), cell_len(below)
        if max(widths) <= LINE_CELLS:
            layouts.append((abs(widths[0] - widths[1]), (above, below)))
    return min(layouts)[1] if layouts else ()


def _milliseconds(samples: int) -> int:
    return max(round(samples * 1000 / SAMPLE_RATE), 0)
