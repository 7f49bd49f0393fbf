import numpy as np
import pytest

from benchmarks import race
from benchmarks.race import Outcome
from benchmarks.speech import Speech, SpokenWord
from model.text.word_errors import word_errors


def test_errors_are_counted_over_words():
    assert word_errors(["one", "too", "three", "four"], ["one", "two", "three"]) == 2


def test_speed_is_a_ratio_within_a_round():
    ours = Outcome("streamer", (), 0, (1.0, 10.0, 3.0))
    theirs = Outcome("transformers", (), 0, (2.0, 40.0, 9.0))

    assert race.speed(ours, [ours, theirs]) == 3.0
    assert race.speed(theirs, [ours, theirs]) == 1.0


def test_programs_run_in_turns_and_are_counted_against_the_truth():
    order = []

    def program(name, words):
        def transcribe(samples):
            order.append(name)
            return words

        return transcribe

    spoken = Speech(np.zeros(16000, np.float32), (SpokenWord("one", 0, 10), SpokenWord("two", 20, 30)))
    outcomes = race.race({"a": program("a", ["one", "two"]), "b": program("b", ["one"])}, spoken, rounds=2)

    assert order[2:] == ["a", "b", "b", "a"]
    assert [(one.name, one.errors, len(one.seconds)) for one in outcomes] == [("a", 0, 2), ("b", 1, 2)]


def test_a_program_that_hears_something_else_the_second_time_is_not_measured():
    answers = iter([["one"], ["one"], ["two"]])
    spoken = Speech(np.zeros(16000, np.float32), (SpokenWord("one", 0, 10),))

    with pytest.raises(AssertionError, match="heard something else the second time"):
        race.race({"a": lambda samples: next(answers)}, spoken, rounds=2)
