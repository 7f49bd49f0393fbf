"""What a reader saw when: first sight of each word, and what was taken back.

Of equal words in a row nobody can say which one a message has: "nine" may be either of "nine nine". What is seen of
such a run is therefore counted, not named.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    most: Counter[int] = field(default_factory=Counter)
    """Words of a run that one message had at once, committed ones among them, at most; by index of its first word."""


def follow(spoken: Sequence[SpokenWord], emissions: Sequence[Emission], pairs: Mapping[int, int]) -> Shown:
    """Find when each word was first shown, and count what was taken back.

    pairs: index in the committed text by index of the spoken word. What is shown is compared with the words that follow
    the last committed one and have begun.
    """
    run = runs(spoken)
    by_place = dict(_from_the_first(pairs, run))
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
            found = [following + index for index in pair_words(candidates, displayed, unfinished=True)]
            for index in found:
                shown.first.setdefault(index, Sight(emission.audio, emission.at))
            for start, count in Counter(run[index] for index in found).items():
                before = sum(run[by_place[place]] == start for place in range(committed) if place in by_place)
                shown.most[start] = max(shown.most[start], before + count)
    return shown


def runs(spoken: Sequence[SpokenWord]) -> list[int]:
    """Return for each word the index of the first of the equal words in a row that it is one of."""
    starts: list[int] = []
    for index, word in enumerate(spoken):
        starts.append(starts[-1] if index and spoken[index - 1].text == word.text else index)
    return starts


def _from_the_first(pairs: Mapping[int, int], run: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield place and spoken word of each pair; of a run that has more words than pairs, the first ones are taken."""
    taken: Counter[int] = Counter()
    for index, place in pairs.items():
        yield place, run[index] + taken[run[index]]
        taken[run[index]] += 1


def dropped(spoken: Sequence[SpokenWord], lost: Sequence[int], pairs: Mapping[int, int], shown: Shown) -> Iterator[int]:
    """Yield those of the lost words that stood in a message before: the policy's doing, not the ear's."""
    run = runs(spoken)
    kept = Counter(run[index] for index in pairs)
    seen: Counter[int] = Counter()
    for index in lost:
        seen[run[index]] += 1
        if kept[run[index]] + seen[run[index]] <= shown.most[run[index]]:
            yield index


def taken_back(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the words from the first one that changed or went."""
    kept = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        kept += 1
    return len(before) - kept
