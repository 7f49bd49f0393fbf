"""Where a long window may be cut: between two words, never through one.

A cut before word i lets the words before i and their audio go. Everything before it must be decided, so word i is at
most the first uncommitted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.types import SAMPLE_RATE, Segment, Word

UNSETTLED = 2 * SAMPLE_RATE
"""Samples at the end of a full window that are heard again: a word may be cut there."""
LEAST_TRIM = 5 * SAMPLE_RATE
"""A full window that frees less than this would be decoded again and again for little."""
PAUSE_SEARCH = 3 * SAMPLE_RATE
"""How far back from the wanted cut a longer pause is looked for."""
LEAD = SAMPLE_RATE // 2
"""Samples of silence kept before the first word of the window."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut."""

    index: int
    """Words that leave."""
    place: int
    """Sample index where the window starts afterwards."""
    pause: int
    """Samples of silence around it."""


@dataclass(frozen=True, slots=True)
class Span:
    """A decoded window, as far as cutting is concerned."""

    start: int
    heard: int
    """Where its audio ends."""
    committed: tuple[Word, ...]
    tail: tuple[Word, ...]
    """Uncommitted words after them."""

    def cut(self, index: int) -> Cut:
        """Return the cut before word `index`, 0 to len(committed)."""
        end = max(self.committed[index - 1].end, self.start) if index else self.start
        if index < len(self.committed):
            following = self.committed[index].start
        elif self.tail:
            following = self.tail[0].start
        else:
            following = max(self.heard - UNSETTLED, end)
        following = max(following, end)
        return Cut(index, max((end + following) // 2, following - LEAD), following - end)

    def roomy_cut(self, left_context: int) -> Cut | None:
        """Return a cut that keeps `left_context` samples before the last committed word's end, at the longest pause."""
        if not self.committed:
            return None
        target = self.committed[-1].end - left_context
        cuts = [cut for cut in map(self.cut, range(1, len(self.committed) + 1)) if cut.place <= target]
        near = [cut for cut in cuts if cut.place >= cuts[-1].place - PAUSE_SEARCH]
        return max(near, key=lambda cut: cut.pause, default=None)

    def frees_enough(self, cut: Cut | None) -> bool:
        """Say whether a full window gets on with this cut."""
        return cut is not None and cut.place - self.start >= LEAST_TRIM


def words_to_settle(span: Span, segments: Sequence[Segment], agreed: int) -> int:
    """Return how many words of the tail must be committed so that a full window can move on.

    The least of: those agreed on; those of all segments but the last, which may be cut; those that end well before the
    audio; all.
    """
    words = span.tail
    complete = sum(len(segment.words) for segment in segments[:-1])
    early = sum(word.end <= span.heard - UNSETTLED for word in words)
    for count in sorted({agreed, max(agreed, complete), max(agreed, early)}):
        after = Span(span.start, span.heard, (*span.committed, *words[:count]), words[count:])
        if after.frees_enough(after.cut(len(after.committed))):
            return count
    return len(words)
