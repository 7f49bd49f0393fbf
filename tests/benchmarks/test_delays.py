"""Delays are right on a stream whose every arrival is made up."""

import math

import pytest

from benchmarks.delays import check_promises, measure, percentile
from benchmarks.pairing import pair_words
from benchmarks.speech import Speech, SpokenWord
from benchmarks.stream import Arrival, Recording
from model.types import SAMPLE_RATE


def speech(*words: tuple[str, float, float]) -> Speech:
    return Speech(None, tuple(SpokenWord(t, round(a * SAMPLE_RATE), round(b * SAMPLE_RATE)) for t, a, b in words))


def commit(at: float, number: int, *words: tuple[str, float, float]) -> Arrival:
    spread = [{"text": f" {text}", "start": start, "end": end} for text, start, end in words]
    text = "".join(word["text"] for word in spread)
    return Arrival(at, {"type": "commit", "id": number, "utterance": 1, "text": text, "words": spread})


def partial(at: float, text: str) -> Arrival:
    return Arrival(at, {"type": "partial", "utterance": 1, "text": text})


def final(at: float, text: str, end: float) -> Arrival:
    return Arrival(at, {"type": "final", "utterance": 1, "text": text, "start": 0.0, "end": end})


ONE_TWO = speech(("one", 0.5, 1.0), ("two", 1.2, 1.6))


def test_a_word_is_shown_by_the_first_partial_that_holds_it_and_committed_by_its_commit():
    arrivals = [
        partial(1.3, "one"),
        partial(1.9, "one two"),
        commit(2.0, 1, ("one", 0.5, 1.0)),
        partial(2.1, "two"),
        commit(2.5, 2, ("two", 1.2, 1.7)),
        final(2.6, " one two", 2.1),
    ]
    delays = measure(Recording(ONE_TWO, arrivals))

    assert delays.shown == pytest.approx([0.3, 0.3])
    assert delays.committed == pytest.approx([1.0, 0.9])
    assert delays.final == pytest.approx([1.0])
    assert (delays.missed, delays.extra, delays.erased) == (0, 0, 0)
    assert max(delays.timing) == pytest.approx(0.1)


def test_a_word_that_no_partial_showed_is_shown_by_its_commit():
    delays = measure(Recording(ONE_TWO, [commit(2.0, 1, ("one", 0.5, 1.0), ("two", 1.2, 1.6))]))

    assert delays.shown == delays.committed == pytest.approx([1.0, 0.4])


def test_a_repeated_word_is_not_shown_before_it_is_said_again():
    twice = speech(("one", 0.5, 1.0), ("one", 3.0, 3.4))
    arrivals = [partial(1.3, "one"), partial(1.7, "one one"), partial(3.6, "one one")]
    arrivals.append(commit(4.0, 1, ("one", 0.5, 1.0), ("one", 3.0, 3.4)))

    assert measure(Recording(twice, arrivals)).shown == pytest.approx([0.3, 0.2])


def test_words_that_a_partial_takes_back_are_counted():
    arrivals = [
        partial(1.3, "nine"),
        partial(1.9, "one two three"),
        commit(2.0, 1, ("one", 0.5, 1.0), ("two", 1.2, 1.6)),
        final(2.1, " one two", 2.0),
    ]

    assert measure(Recording(ONE_TWO, arrivals)).erased == 2


def test_a_misheard_word_is_missed_and_extra_and_has_no_delay():
    delays = measure(Recording(ONE_TWO, [commit(2.0, 1, ("one", 0.5, 1.0), ("nine", 1.2, 1.6))]))

    assert (delays.missed, delays.extra) == (1, 1)
    assert len(delays.committed) == 1


@pytest.mark.parametrize(
    "arrivals",
    [
        [commit(2.0, 2, ("one", 0.5, 1.0))],
        [commit(2.0, 1, ("one", 0.5, 1.0)), final(2.1, " two", 2.0)],
        [commit(2.0, 1, ("two", 1.2, 1.6)), commit(2.1, 2, ("one", 0.5, 1.0))],
    ],
    ids=["an id is missing", "the final differs", "time goes back"],
)
def test_a_stream_that_breaks_a_promise_is_not_measured(arrivals):
    with pytest.raises(AssertionError):
        check_promises(Recording(ONE_TWO, arrivals))


def test_pairs_keep_the_order_and_forgive_the_unfinished_end():
    assert pair_words(["a", "b", "c"], ["a", "x", "c"]) == {0: 0, 2: 2}
    assert pair_words(["a", "b", "c", "a"], ["a", "b"], unfinished=True) == {0: 0, 1: 1}


def test_percentiles_are_values_that_were_measured():
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 95) == 3.0
    assert math.isnan(percentile([], 50))
