"""What a reader saw when: first sight of each word, and what was taken back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.emission import Emission
from benchmarks.pairing import pair_words
from benchmarks.speech import SpokenWord
from model.types import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Sight:
    """A spoken word as it first appeared in what may still change."""

    audio: float
    """Seconds of the stream the system had been given."""
    at: float


@dataclass(slots=True)
class Shown:
    """What was on the screen before it was committed."""

    first: dict[int, Sight] = field(default_factory=dict)
    """By index of the spoken word."""
    erased: int = 0
    """Words that the next message took back or changed."""


def follow(spoken: Sequence[SpokenWord], emissions: Sequence[Emission], pairs: Mapping[int, int]) -> Shown:
    """Find when each word was first shown, and count what was taken back.

    pairs: index in the committed text by index of the spoken word. What is shown is compared with the words that follow
    the last committed one and have begun.
    """
    by_place = {place: index for index, place in pairs.items()}
    shown = Shown()
    displayed: list[str] = []
    committed = following = 0
    for emission in emissions:
        committed, following = max(committed - emission.rewritten, 0), max(following - emission.rewritten, 0)
        text = emission.committed
        shown.erased += taken_back(displayed[: len(text)], text)
        displayed = displayed[len(text) :]
        for place in range(committed, committed + len(text)):
            following = by_place.get(place, following - 1) + 1
        committed += len(text)
        shown.erased += taken_back(displayed, emission.shown)
        displayed = list(emission.shown)
        heard = bisect_left(spoken, emission.audio * SAMPLE_RATE, key=lambda word: word.start)
        candidates = [word.text for word in spoken[following:heard]]
        if displayed and candidates:
            for index in pair_words(candidates, displayed, unfinished=True):
                shown.first.setdefault(following + index, Sight(emission.audio, emission.at))
    return shown


def taken_back(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the words from the first one that changed or went."""
    kept = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        kept += 1
    return len(before) - kept
