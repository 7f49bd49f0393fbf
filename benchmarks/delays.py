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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.emission import Emission
from benchmarks.pairing import pair_words, words_of
from benchmarks.showing import follow
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
    shown = follow(spoken, list(emissions(recording)), pairs)
    missed, extra = len(spoken) - len(pairs), len(heard) - len(pairs)
    delays = Delays(spoken=len(spoken), missed=missed, extra=extra, erased=shown.erased)
    for index, place in pairs.items():
        word, found = spoken[index], heard[place]
        start, end = word.start / SAMPLE_RATE, word.end / SAMPLE_RATE
        first = shown.first.get(index)
        delays.shown.append((found.at if first is None else min(first.at, found.at)) - end)
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


def emissions(recording: Recording) -> Iterator[Emission]:
    """Yield what a reader of the stream saw change; of a daemon over a network only the time of arrival is known."""
    displayed: list[str] = []
    for arrival in recording.arrivals:
        text = words_of(arrival.message.get("text", ""))
        kind = arrival.message["type"]
        if kind == "commit":
            displayed = displayed[len(text) :]
            yield Emission(arrival.at, arrival.at, tuple(text), tuple(displayed))
        elif kind in {"partial", "final"}:
            displayed = text if kind == "partial" else []
            yield Emission(arrival.at, arrival.at, shown=tuple(displayed), final=kind == "final")


def _times_to_final(recording: Recording) -> Iterator[float]:
    for arrival in recording.of("final"):
        start, end = arrival.message["start"] * SAMPLE_RATE, arrival.message["end"] * SAMPLE_RATE
        inside = [word for word in recording.speech.words if start <= (word.start + word.end) / 2 <= end]
        if inside:
            yield arrival.at - inside[-1].end / SAMPLE_RATE
