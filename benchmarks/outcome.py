"""What one system made of one stream, compared with what was said and with what the model hears of the whole recording.

Definitions. All delays are in seconds from the true end of the spoken word, on both clocks of `emission.py`.

- commit delay: until the word was said for good. first-show delay: until it first stood in what a reader sees.
- time to final: from the true end of the last word before it to the message that ends the utterance; it contains the
  hangover, the silence that the endpointer waits for. Systems that end no utterances have none.
- rewrites: committed words that were taken back or changed.
- erasure: words shown and taken back or changed, per word of the final text (normalised erasure, Arivazhagan et al.
  2020): how much the captions flicker.
- a word is lost if the offline result has it and in the stream nothing stands in its place; it is doubled if the stream
  has a word too many there, equal to its neighbour, and the offline result has none too many. A word heard as another
  one is neither: it is an error of the model, and counts in the word error rate.
- a lost word was dropped if it stood in a message before: then it was heard, and the policy gave it up. A system that
  shows nothing before it commits cannot be asked this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.conditions import Condition
from benchmarks.emission import Emission, Run
from benchmarks.pairing import Gap, gaps, pair_words
from benchmarks.showing import Sight, dropped, follow
from benchmarks.speech import Speech, SpokenWord
from model.text.word_errors import word_errors
from model.types import SAMPLE_RATE

BLOCK_SECONDS = 30.0
"""Errors within one window depend on each other: this much speech is drawn together for intervals."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Of one word or utterance, in seconds."""

    aware: float
    """With the cost of the work."""
    unaware: float
    """As if the work took no time."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a stream."""

    spoken: int
    errors: int
    offline_errors: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One system on one stream."""

    condition: Condition
    seconds: float
    blocks: tuple[Block, ...]
    against_offline: int
    """Edits between the stream's text and the offline one."""
    offline_words: int
    committed: tuple[Delay, ...]
    shown: tuple[Delay, ...]
    final: tuple[Delay, ...]
    words: int
    """Of the final text."""
    rewrites: int
    erased: int
    lost: tuple[str, ...]
    """Each with the second at which it was said."""
    dropped: tuple[str, ...]
    """Those of them that had been shown."""
    doubled: tuple[str, ...]
    lateness: float
    """Seconds that an answer came after its audio, at worst."""
    busy: float
    updates: int
    passes: int | None


def assess(condition: Condition, speech: Speech, offline: Sequence[str], run: Run) -> Outcome:
    """Compare what a system said with the truth and with the offline result."""
    spoken = [word.text for word in speech.words]
    said = list(transcript(run.emissions))
    heard = [word for word, _ in said]
    pairs, offline_pairs = pair_words(spoken, heard), pair_words(spoken, offline)
    differences = list(gaps(pairs, len(spoken), len(heard)))
    offline_differences = list(gaps(offline_pairs, len(spoken), len(offline)))
    shown = follow(speech.words, run.emissions, pairs)
    committed = {index: said[place][1] for index, place in pairs.items()}
    lost = lost_words(differences, offline_pairs)
    first = {index: _earlier(shown.first.get(index), sight) for index, sight in committed.items()}
    return Outcome(
        condition=condition,
        seconds=speech.seconds,
        blocks=tuple(_blocks(speech, differences, offline_differences)),
        against_offline=word_errors(heard, offline),
        offline_words=len(offline),
        committed=_delays(speech.words, committed),
        shown=_delays(speech.words, first),
        final=tuple(_times_to_final(speech.words, run.emissions)),
        words=len(heard),
        rewrites=sum(emission.rewritten for emission in run.emissions),
        erased=shown.erased,
        lost=tuple(_named(speech.words[index]) for index in lost),
        dropped=tuple(_named(speech.words[index]) for index in dropped(speech.words, lost, pairs, shown)),
        doubled=tuple(_named(word) for word in _doubled(speech.words, heard, differences, offline_differences)),
        lateness=max((emission.at - emission.audio for emission in run.emissions), default=0.0),
        busy=run.busy,
        updates=run.updates,
        passes=run.passes,
    )


def transcript(emissions: Sequence[Emission]) -> Sequence[tuple[str, Sight]]:
    """Return the final text, each word with the message that last committed it."""
    said: list[tuple[str, Sight]] = []
    for emission in emissions:
        if emission.rewritten:
            del said[-emission.rewritten :]
        said += [(word, Sight(emission.audio, emission.at)) for word in emission.committed]
    return said


def lost_words(differences: Sequence[Gap], offline: Mapping[int, int]) -> list[int]:
    """Return the spoken words that the offline result has, and for which nothing stands in the stream.

    Where some words of a stretch were deleted and others heard as other words, the earlier ones of those that the
    offline result has count as deleted.
    """
    return [
        index for gap in differences for index in [index for index in gap.spoken if index in offline][: gap.deleted]
    ]


def doubled_words(heard: Sequence[str], differences: Sequence[Gap], offline: Sequence[Gap]) -> list[tuple[int, int]]:
    """Return words too many that equal their neighbour: place in the heard text and where among the spoken words."""
    excused = {gap.spoken.start for gap in offline if gap.inserted}
    return [
        (place, gap.spoken.start)
        for gap in differences
        if gap.spoken.start not in excused
        for place in [place for place in gap.heard if _repeats(heard, place)][: gap.inserted]
    ]


def _repeats(heard: Sequence[str], place: int) -> bool:
    beside = heard[max(place - 1, 0) : place] + heard[place + 1 : place + 2]  # type: ignore[operator]  # one sequence
    return heard[place] in beside


def _doubled(
    spoken: Sequence[SpokenWord], heard: Sequence[str], differences: Sequence[Gap], offline: Sequence[Gap]
) -> Iterator[SpokenWord]:
    """Yield the spoken words before which a doubled one stands."""
    for _, index in doubled_words(heard, differences, offline):
        if spoken:
            yield spoken[min(index, len(spoken) - 1)]


def _named(word: SpokenWord) -> str:
    return f"{word.text} at {word.start / SAMPLE_RATE:.1f} s"


def _earlier(shown: Sight | None, committed: Sight) -> Sight:
    if shown is None:
        return committed
    return Sight(min(shown.audio, committed.audio), min(shown.at, committed.at))


def _delays(spoken: Sequence[SpokenWord], sights: Mapping[int, Sight]) -> tuple[Delay, ...]:
    ends = {index: spoken[index].end / SAMPLE_RATE for index in sights}
    return tuple(Delay(sight.at - ends[index], sight.audio - ends[index]) for index, sight in sights.items())


def _times_to_final(spoken: Sequence[SpokenWord], emissions: Sequence[Emission]) -> Iterator[Delay]:
    """Yield them for utterances in which something was said: after the final before, and before this one."""
    ends = [word.end / SAMPLE_RATE for word in spoken]
    before = 0
    for emission in emissions:
        if emission.final:
            ended = bisect_right(ends, emission.audio)
            if ended > before:
                yield Delay(emission.at - ends[ended - 1], emission.audio - ends[ended - 1])
            before = max(before, ended)


def _blocks(speech: Speech, differences: Sequence[Gap], offline: Sequence[Gap]) -> Iterator[Block]:
    """Divide the stream, each error going to where its first spoken word is."""

    def block(index: int) -> int:
        return int(speech.words[min(index, len(speech.words) - 1)].start / SAMPLE_RATE / BLOCK_SECONDS)

    count = int(speech.seconds / BLOCK_SECONDS) + 1
    sums = [[0, 0, 0] for _ in range(count)]
    for index in range(len(speech.words)):
        sums[block(index)][0] += 1
    for column, found in ((1, differences), (2, offline)):
        for gap in found:
            sums[block(gap.spoken.start)][column] += gap.errors
    for spoken, errors, offline_errors in sums:
        if spoken:
            yield Block(spoken, errors, offline_errors)
