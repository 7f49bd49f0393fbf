"""From a recorded stream to delays: which message first showed each spoken word, and which one committed it.

Definitions, all in seconds and relative to the true end of the spoken word:

- first-show delay: when the word first stood in what a reader sees, in a partial or a commit. Contains the wait for
  the next update, decoding and the network. A word that was shown, vanished and came back counts from the first time.
- commit delay: when it arrived in a commit, which is for ever.
- time to final: from the end of the last word of an utterance to its `final`. Contains the hangover of the endpointer.
- erasure: words of partials that the next message took back or changed, per word of the final transcript.
- a word is missed when it never appears in the right place; extra when nobody said it. Missed words have no delay.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.stream import Recording
from model.types import SAMPLE_RATE


@dataclass(slots=True)
class Delays:
    """What was found in one or more streams."""

    shown: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    timing: list[float] = field(default_factory=list)
    """Distance of the committed word times from the true ones, start and end."""
    spoken: int = 0
    missed: int = 0
    extra: int = 0
    erased: int = 0

    def add(self, other: Delays) -> None:
        """Take in what another stream gave."""
        for name in ("shown", "committed", "final", "timing"):
            getattr(self, name).extend(getattr(other, name))
        for name in ("spoken", "missed", "extra", "erased"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def error_rate(self) -> float:
        """Words missed (or heard as another one) and extra words, per spoken word.

        A word heard as another one counts as missed and as extra; the usual word error rate counts it once.
        """
        return (self.missed + self.extra) / max(self.spoken, 1)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least this many percent do not exceed (nearest rank); NaN if there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(percent / 100 * len(values)) - 1, 0)]


def words_of(text: str) -> list[str]:
    """Split text into words, without case and punctuation."""
    return re.findall(r"[\w']+", text.lower())


def pair_words(spoken: Sequence[str], heard: Sequence[str], *, unfinished: bool = False) -> dict[int, int]:
    """Pair equal words in order, as the fewest edits do: index in heard by index in spoken.

    unfinished: what was heard so far may end anywhere; words spoken after that cost nothing.
    """
    rows, columns = len(spoken) + 1, len(heard) + 1
    cost = [[row + column if not (row and column) else 0 for column in range(columns)] for row in range(rows)]
    for row in range(1, rows):
        for column in range(1, columns):
            change = cost[row - 1][column - 1] + (spoken[row - 1] != heard[column - 1])
            cost[row][column] = min(change, cost[row - 1][column] + 1, cost[row][column - 1] + 1)
    row = min(range(rows), key=lambda r: (cost[r][-1], abs(r - len(heard)))) if unfinished else rows - 1
    column, pairs = columns - 1, {}
    while row and column:
        equal = spoken[row - 1] == heard[column - 1]
        if cost[row][column] == cost[row - 1][column - 1] + (not equal):
            row, column = row - 1, column - 1
            if equal:
                pairs[row] = column
        elif cost[row][column] == cost[row - 1][column] + 1:
            row -= 1
        else:
            column -= 1
    return dict(sorted(pairs.items()))


@dataclass(frozen=True, slots=True)
class _Heard:
    """A committed word."""

    text: str
    start: float
    end: float
    at: float
    """When its commit arrived."""


def measure(recording: Recording) -> Delays:
    """Find the delays of one stream. Raises AssertionError if the stream broke a promise of the protocol."""
    check_promises(recording)
    spoken = recording.speech.words
    heard = [
        _Heard(text, word["start"], word["end"], arrival.at)
        for arrival in recording.of("commit")
        for word in arrival.message["words"]
        for text in words_of(word["text"])
    ]
    pairs = pair_words([word.text for word in spoken], [word.text for word in heard])
    shown, erased = _first_shown(recording, pairs)
    delays = Delays(spoken=len(spoken), missed=len(spoken) - len(pairs), extra=len(heard) - len(pairs), erased=erased)
    for index, place in pairs.items():
        word, found = spoken[index], heard[place]
        start, end = word.start / SAMPLE_RATE, word.end / SAMPLE_RATE
        delays.shown.append(min(shown.get(index, math.inf), found.at) - end)
        delays.committed.append(found.at - end)
        delays.timing += [abs(found.start - start), abs(found.end - end)]
    delays.final = list(_times_to_final(recording))
    return delays


def check_promises(recording: Recording) -> None:
    """Check what the protocol promises: ids without gaps, finals that join their commits, time that moves on."""
    commits = [arrival.message for arrival in recording.of("commit")]
    assert [commit["id"] for commit in commits] == list(range(1, len(commits) + 1)), "commit ids have gaps"
    for arrival in recording.of("final"):
        joined = "".join(c["text"] for c in commits if c["utterance"] == arrival.message["utterance"])
        assert arrival.message["text"] == joined, f"final {arrival.message['text']!r} is not its commits {joined!r}"
    starts = [word["start"] for commit in commits for word in commit["words"]]
    assert starts == sorted(starts), "a committed word starts before an earlier one"


def _first_shown(recording: Recording, pairs: dict[int, int]) -> tuple[dict[int, float], int]:
    """Return when each spoken word was first shown in a partial, and how many shown words were taken back."""
    spoken = recording.speech.words
    by_place = {place: index for index, place in pairs.items()}
    first: dict[int, float] = {}
    displayed: list[str] = []
    erased = committed = following = 0
    for arrival in recording.arrivals:
        text = words_of(arrival.message.get("text", ""))
        match arrival.message["type"]:
            case "commit":
                erased += _taken_back(displayed[: len(text)], text)
                displayed = displayed[len(text) :]
                for place in range(committed, committed + len(text)):
                    following = by_place.get(place, following - 1) + 1
                committed += len(text)
            case "partial":
                erased += _taken_back(displayed, text)
                displayed = text
                heard = bisect_left(spoken, arrival.at * SAMPLE_RATE, key=lambda word: word.start)
                candidates = [word.text for word in spoken[following:heard]]
                for index in pair_words(candidates, text, unfinished=True):
                    first.setdefault(following + index, arrival.at)
            case "final":
                erased += len(displayed)
                displayed = []
    return first, erased


def _taken_back(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the words from the first one that changed or went."""
    kept = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        kept += 1
    return len(before) - kept


def _times_to_final(recording: Recording) -> Iterator[float]:
    for arrival in recording.of("final"):
        start, end = arrival.message["start"] * SAMPLE_RATE, arrival.message["end"] * SAMPLE_RATE
        inside = [word for word in recording.speech.words if start <= (word.start + word.end) / 2 <= end]
        if inside:
            yield arrival.at - inside[-1].end / SAMPLE_RATE
