"""What an utterance offers for verification after an answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from model.types import SAMPLE_RATE, Hypothesis, Segment, Word
from streamer.config import SessionConfig
from streamer.core.utterance import Utterance


class First:
    """Commits so many words of each hypothesis."""

    def __init__(self, count: int) -> None:
        self.count = count

    def update(self, tail: Sequence[Word], heard: int) -> int:
        """Return the number, as far as there are words."""
        return min(self.count, len(tail))

    def skip(self, count: int) -> None:
        """Nothing to remember."""

    def finish(self, tail: Sequence[Word]) -> int:
        """Return all."""
        return len(tail)


def word(text: str, start: float, end: float) -> Word:
    return Word(text, int(start * SAMPLE_RATE), int(end * SAMPLE_RATE), 0.9, (1,))


def heard(end: float, *segments: Segment) -> Hypothesis:
    return Hypothesis(0, int(end * SAMPLE_RATE), segments, "en")


def segment(end: float | None, *words: Word) -> Segment:
    return Segment(words[0].start, None if end is None else int(end * SAMPLE_RATE), words)


@pytest.mark.parametrize("end", [1.0, None])
def test_a_segment_that_is_committed_but_may_go_on_leaves_its_end_to_be_guessed(end):
    utterance = Utterance(1, 0, SessionConfig(), First(1))
    utterance.receive(heard(1.1, segment(end, word(" one", 0.3, 0.9))))

    assert [(s.end, len(s.words)) for s in utterance.committed] == [(None, 1)]
    assert utterance.draft == (() if end is None else (Segment(SAMPLE_RATE, SAMPLE_RATE, ()),))


def test_a_segment_that_ended_long_before_the_audio_does_is_closed_and_leaves_nothing():
    utterance = Utterance(1, 0, SessionConfig(), First(1))
    utterance.receive(heard(9.0, segment(1.0, word(" one", 0.3, 0.9))))

    assert [(s.end, len(s.words)) for s in utterance.committed] == [(SAMPLE_RATE, 1)]
    assert utterance.draft == ()


def test_words_that_are_not_committed_are_the_draft_with_the_end_of_their_segment():
    utterance = Utterance(1, 0, SessionConfig(), First(1))
    one, two = word(" one", 0.3, 0.9), word(" two", 0.9, 1.4)
    utterance.receive(heard(1.6, segment(1.5, one, two)))

    assert [(s.end, s.words) for s in utterance.committed] == [(None, (one,))]
    assert utterance.draft == (Segment(two.start, int(1.5 * SAMPLE_RATE), (two,)),)
