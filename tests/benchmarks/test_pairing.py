"""Differences between two texts are found where they are, and add up."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pairing import Gap, gaps, pair_words, words_of
from model.text.word_errors import word_errors

texts = st.lists(st.sampled_from("abc"), max_size=12)


def test_words_have_no_case_and_no_punctuation():
    assert words_of("So, it's Two-fold.") == ["so", "it's", "two", "fold"]


@given(texts, texts)
def test_the_errors_of_all_differences_are_the_edits(spoken, heard):
    found = list(gaps(pair_words(spoken, heard), len(spoken), len(heard)))
    assert sum(gap.errors for gap in found) == word_errors(heard, spoken)
    assert sum(gap.inserted - gap.deleted for gap in found) == len(heard) - len(spoken)


def test_a_difference_says_which_words_it_has():
    spoken, heard = ["one", "nine", "two", "three", "four"], ["zero", "one", "nine", "three", "five", "six"]
    first, second, third = gaps(pair_words(spoken, heard), len(spoken), len(heard))

    assert (first, first.inserted, first.deleted) == (Gap(range(0), range(1)), 1, 0)
    assert (second, second.inserted, second.deleted) == (Gap(range(2, 3), range(3, 3)), 0, 1)
    assert (third, third.inserted, third.errors) == (Gap(range(4, 5), range(4, 6)), 1, 2)
