"""What an utterance keeps, offers for verification and lets go after an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from model.types import SAMPLE_RATE, Hypothesis, Segment, Word
from streamer.config import SessionConfig
from streamer.core.commit import LocalAgreement
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


def test_a_segment_that_another_follows_is_closed_however_near_the_end_of_the_audio():
    utterance = Utterance(1, 0, SessionConfig(), First(1))
    one, two = segment(1.4, word(" one", 0.3, 0.9)), segment(None, word(" two", 1.5, 1.6))
    utterance.receive(heard(1.6, one, two))

    assert utterance.committed == (one,)
    assert utterance.draft == (two,)


def test_a_segment_that_was_left_open_goes_on_and_those_around_it_stay_as_they_are():
    utterance = Utterance(1, 0, SessionConfig(trim_after_ms=12_000), First(9))
    a, b, c, d, e, f = (word(f" {n}", n + 0.1, n + 0.9) for n in range(6))
    utterance.receive(heard(2.0, segment(1.0, a), segment(None, b)))
    utterance.receive(heard(7.0, segment(3.0, c), segment(4.0, d), segment(5.0, e)))
    utterance.receive(heard(9.0, segment(6.0, f)))

    continued = segment(3.0, b, c)
    assert utterance.committed == (segment(1.0, a), continued, segment(4.0, d), segment(5.0, e), segment(6.0, f))


def test_words_that_are_not_committed_are_the_draft_with_the_end_of_their_segment():
    utterance = Utterance(1, 0, SessionConfig(), First(1))
    one, two = word(" one", 0.3, 0.9), word(" two", 0.9, 1.4)
    utterance.receive(heard(1.6, segment(1.5, one, two)))

    assert [(s.end, s.words) for s in utterance.committed] == [(None, (one,))]
    assert utterance.draft == (Segment(two.start, int(1.5 * SAMPLE_RATE), (two,)),)


def test_a_window_longer_than_its_setting_loses_its_front_and_keeps_its_left_context():
    config = SessionConfig(trim_after_ms=6000, left_context_ms=2000)
    utterance = Utterance(1, 0, config, First(9))
    words = [word(f" {n}", n, n + (0.503 if n == 2 else 0.9)) for n in range(6)]
    said = segment(4.0, *words[:4]), segment(5.0, words[4]), segment(None, words[5])

    assert utterance.receive(heard(6.0, *said)).departed == ()
    assert utterance.window_start == 0
    assert utterance.receive(heard(6.1)).departed == tuple(words[:3])
    assert utterance.window_start == int(2.75 * SAMPLE_RATE), "in the pause, on a frame"
    assert [one.words for one in utterance.committed] == [(words[3],), (words[4],), (words[5],)]
    assert utterance.receive(heard(8.0, segment(None, word(" 6", 6.2, 6.9), word(" 7", 7, 7.9)))).departed == ()


def test_what_a_full_window_leaves_undecided_agrees_with_what_is_heard_next():
    utterance = Utterance(1, 0, SessionConfig(), LocalAgreement(0))
    words = [word(f" {n}", n, n + 0.9) for n in range(30)]
    utterance.receive(heard(29, segment(None, words[0])))
    full = utterance.receive(heard(30, segment(None, *words)))

    assert (full.forced, full.tail) == (True, tuple(words[-2:]))
    assert utterance.committed[-1].words[-1] == words[-3], "context is kept where that frees enough"
    following = replace(heard(31, segment(None, *words[-2:])), start=utterance.window_start)
    assert utterance.receive(following).committed == tuple(words[-2:])
