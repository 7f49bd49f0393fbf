"""Figures of a stream are right where every message is made up."""

import numpy as np
import pytest

from benchmarks.conditions import CONTINUOUS, Condition
from benchmarks.emission import Emission, Run
from benchmarks.outcome import Block, Delay, assess
from benchmarks.speech import Speech, SpokenWord
from model.types import SAMPLE_RATE, Samples

CONDITION = Condition(CONTINUOUS, None, 10.0, 1)


def speech(text: str, step: float = 1.0, seconds: float | None = None) -> Speech:
    """Say a word each second, half a second long."""
    words = tuple(
        SpokenWord(word, round(step * i * SAMPLE_RATE), round((step * i + 0.5) * SAMPLE_RATE))
        for i, word in enumerate(text.split())
    )
    return Speech(samples(seconds or step * len(words)), words)


def samples(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def said(audio: float, text: str, *, cost: float = 0.1, shown: str = "", rewritten: int = 0, final: bool = False):
    return Emission(audio, audio + cost, tuple(text.split()), tuple(shown.split()), rewritten, final)


def judge(spoken: Speech, *emissions: Emission, offline: str | None = None):
    known = tuple(word.text for word in spoken.words) if offline is None else tuple(offline.split())
    return assess(CONDITION, spoken, known, Run(emissions, busy=1.0, updates=len(emissions), passes=7))


def times(delays: tuple[Delay, ...]) -> list[tuple[float, float]]:
    """Return delays without and with the cost of the work, in hundredths."""
    return [(round(delay.unaware, 2), round(delay.aware, 2)) for delay in delays]


def test_delays_count_from_the_end_of_the_word_on_both_clocks():
    found = judge(speech("one two"), said(1.0, "", shown="one"), said(2.0, "one two"))

    assert times(found.committed) == [(1.5, 1.6), (0.5, 0.6)]
    assert times(found.shown) == [(0.5, 0.6), (0.5, 0.6)]
    assert found.lateness == pytest.approx(0.1)


def test_the_time_to_final_counts_from_the_last_word_before_it():
    spoken = speech("one two three")
    found = judge(spoken, said(2.0, "one two", final=True), said(2.2, "", final=True), said(4.0, "three"))

    assert times(found.final) == [(0.5, 0.6)]


def test_what_is_shown_and_taken_back_is_erased_and_what_is_committed_as_shown_is_not():
    messages = said(1.0, "", shown="one three four"), said(2.0, "one", shown="two"), said(3.0, "two")
    found = judge(speech("one two"), *messages)

    assert (found.erased, found.words, found.rewrites) == (2, 2, 0)


def test_a_committed_word_that_is_taken_back_counts_and_its_successor_stands():
    found = judge(speech("one two"), said(1.0, "nine"), said(2.0, "one two", rewritten=1))

    assert found.rewrites == 1
    assert [d.unaware for d in found.committed] == pytest.approx([1.5, 0.5])
    assert sum(block.errors for block in found.blocks) == 0


def test_a_word_is_lost_only_if_the_offline_result_has_it_and_nothing_stands_in_its_place():
    spoken = speech("one two three four")

    assert judge(spoken, said(4.0, "one three four")).lost == ("two at 1.0 s",)
    assert judge(spoken, said(4.0, "one five three four")).lost == ()
    assert judge(spoken, said(4.0, "one three four"), offline="one three four").lost == ()


def test_a_lost_word_was_dropped_if_it_had_been_shown():
    spoken = speech("one two three")

    found = judge(spoken, said(2.0, "one", shown="two"), said(3.0, "three"))
    assert found.lost == found.dropped == ("two at 1.0 s",)
    assert judge(spoken, said(2.0, "one", shown="nine"), said(3.0, "three")).dropped == ()
    assert judge(spoken, said(2.0, "one", shown="two"), said(3.0, "two three")).dropped == ()


@pytest.mark.parametrize(("shown", "dropped"), [("nine", 0), ("nine nine", 1), ("one nine", 0)])
def test_of_equal_words_in_a_row_one_was_dropped_only_if_so_many_were_shown_at_once(shown, dropped):
    messages = said(2.0, "one", shown="nine"), said(3.0, "", shown=shown), said(4.0, "nine two")
    found = judge(speech("one nine nine two"), *messages)

    assert len(found.lost) == 1
    assert len(found.dropped) == dropped


def test_a_committed_word_of_a_run_counts_with_those_that_are_shown_after_it():
    found = judge(speech("nine nine two"), said(2.0, "nine", shown="nine"), said(3.0, "two"))

    assert len(found.dropped) == 1


def test_a_word_is_doubled_only_if_it_stands_beside_itself_and_the_offline_result_has_none_too_many():
    spoken = speech("one two three")

    assert judge(spoken, said(3.0, "one two two three")).doubled == ("two at 1.0 s",)
    assert judge(spoken, said(3.0, "one two five three")).doubled == ()
    assert judge(spoken, said(3.0, "one two two three"), offline="one two two three").doubled == ()
    assert judge(speech("one one"), said(2.0, "one one")).doubled == ()


def test_a_word_doubled_at_the_very_end_is_found():
    assert judge(speech("one two"), said(2.0, "one two two")).doubled == ("two at 1.0 s",)


def test_errors_fall_into_the_block_where_the_word_was_said():
    spoken = speech("one two three four", step=20.0)
    found = judge(spoken, said(80.0, "one two five"), offline="nine two three four")

    assert found.blocks == (Block(2, 0, 1), Block(1, 2, 0), Block(1, 0, 0))
    assert found.against_offline == 3


def test_a_system_that_says_nothing_has_no_delays_and_every_error():
    found = judge(speech("one two"))

    assert (found.committed, found.shown, found.final) == ((), (), ())
    assert found.lost == ("one at 0.0 s", "two at 1.0 s")
    assert sum(block.errors for block in found.blocks) == 2
