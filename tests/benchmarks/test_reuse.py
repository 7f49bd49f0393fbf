"""The comparison of reuse compares what it says it does."""

from dataclasses import replace

import pytest

from benchmarks.reuse import compare, describe, report
from benchmarks.speech import Speech
from model.types import Hypothesis
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.session import Session
from tests.fakes import LevelRecognizer, LevelVad, silence, speak

WORDS = Speech(speak([3, 1, 4, 1, 5, 9, 2, 6]), ())


def session() -> Session:
    return Session("talk", SessionConfig(), EndpointConfig(), LevelVad())


class Counting(LevelRecognizer):
    """Says how many positions it has computed, and writes some words otherwise."""

    def __init__(self, computed: int, *, wrong: int | None = None, again: int = 0) -> None:
        """wrong: the place of the word that it mishears, from the end."""
        super().__init__()
        self._computed, self._wrong, self._again = computed, wrong, again

    def answer(self, request, size=1) -> Hypothesis:
        hypothesis = super().answer(request, size)
        statistics = replace(hypothesis.statistics, computed_positions=self._computed, fallbacks=self._again)
        words = list(hypothesis.words)
        if self._wrong is None or len(words) < self._wrong or not hypothesis.segments or request.final:
            return replace(hypothesis, statistics=statistics)
        words[-self._wrong] = replace(words[-self._wrong], text=" other")
        segment = replace(hypothesis.segments[0], words=tuple(words))
        return replace(hypothesis, segments=(segment,), statistics=statistics)


def test_every_partial_request_is_answered_with_and_without_in_turns():
    with_reuse, without = Counting(30), Counting(100)
    updates = compare(session(), {True: with_reuse, False: without}, WORDS)
    assert len(updates) == sum(not request.final for request in without.requests) > 4
    assert with_reuse.requests == without.requests
    found = report(updates)
    assert (found.updates, found.same, found.same_but_last, found.positions) == (len(updates), 1, 1, 0.3)
    assert (found.again, found.again_without) == (0, 0)


@pytest.mark.parametrize(("wrong", "last"), [(1, True), (2, False)])
def test_a_word_that_was_heard_otherwise_counts_and_the_last_one_apart(wrong, last):
    updates = compare(session(), {True: Counting(1, wrong=wrong, again=1), False: Counting(1)}, WORDS)
    found = report(updates)
    assert found.same < 0.5
    assert (found.same_but_last == 1) == last
    assert (found.again, found.again_without) == (found.updates, 0)


def test_the_table_has_a_row_for_each_speech_and_context():
    found = report(compare(session(), {True: Counting(30), False: Counting(100)}, WORDS))
    table = describe({("phrases", "full"): replace(found, time=0.5)}, "command", "machine")
    assert f"| phrases | full | {found.updates} | 100.0% | 100.0% | 0.30 | 0.50 | 0, 0 |" in table


def test_speech_without_a_request_is_no_report():
    quiet = Speech(silence(16_000), ())
    recognizers = {True: Counting(1), False: Counting(1)}
    with pytest.raises(ValueError, match="no updates"):
        report(compare(session(), recognizers, quiet))
