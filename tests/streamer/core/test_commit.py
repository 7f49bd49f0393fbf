"""What is safe to say for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import Word
from streamer.core.commit import LocalAgreement, agreed_words, normalise

FAR = 10**9


def said(text: str, step: int = 1000) -> list[Word]:
    """Make words one after another, `step` samples each."""
    return [Word(f" {w}", i * step, (i + 1) * step, 0.9, (i,)) for i, w in enumerate(text.split())]


@pytest.mark.parametrize(
    ("previous", "current", "agreed"),
    [
        ("one two three", "one two four", 2),
        ("so hello world", "So, hello world.", 3),
        ("", "one", 0),
        ("one", "", 0),
        ("one two", "two one two", 0),
        ("very", "very very good", 1),
        ("very very good", "very very good", 3),
        ("ice cream now", "icecream now", 2),
        ("icecream now", "ice cream now", 3),
        ("for", "forty two", 0),
        ("forty", "for ty", 2),
        ("a - b", "a b", 2),
        ("STRASSE", "straße", 1),
        ("caf\u00e9", "cafe\u0301", 1),
        ("... wait", "... stop", 0),
        ("नमस्ते दुनिया", "नमस्ते, दुनिया", 2),
    ],
)
def test_agreement_is_the_common_start_of_the_normalised_text(previous, current, agreed):
    assert agreed_words(said(previous), said(current)) == agreed


def test_the_first_hypothesis_commits_nothing_and_the_second_what_it_repeats():
    policy = LocalAgreement(margin=0)

    assert policy.update(said("one two three"), FAR) == 0
    assert policy.update(said("one two tree"), FAR) == 2
    assert policy.update(said("tree four"), FAR) == 1


def test_words_that_end_near_the_end_of_the_audio_wait():
    policy = LocalAgreement(margin=500)
    policy.update(said("one two three"), 3000)

    assert policy.update(said("one two three"), 3000) == 2
    assert policy.update(said("three"), 3000) == 1, "three ended at 1000 now"


def test_a_repeated_word_is_committed_as_often_as_it_is_said():
    policy = LocalAgreement(margin=0)
    policy.update(said("very"), FAR)

    assert policy.update(said("very very good"), FAR) == 1
    assert policy.update(said("very good"), FAR) == 2


def test_words_committed_for_another_reason_leave_the_rest_to_agree():
    policy = LocalAgreement(margin=0)
    policy.update(said("one two three four"), FAR)
    policy.skip(2)

    assert policy.update(said("three four five"), FAR) == 2


def test_skipping_nothing_changes_nothing():
    policy = LocalAgreement(margin=0)
    policy.update(said("one two"), FAR)
    policy.skip(0)

    assert policy.update(said("one two three"), FAR) == 2


def test_the_end_commits_everything():
    policy = LocalAgreement(margin=5000)
    policy.update(said("one"), 1000)

    assert policy.finish(said("two three")) == 2


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.lists(st.sampled_from(["a", "b", "A,", "b.", "!", "ab"]), max_size=6), st.data())
def test_what_is_agreed_is_a_start_of_both(words, data):
    other = data.draw(st.lists(st.sampled_from(["a", "b", "A,", "b.", "!", "ab"]), max_size=6))
    previous, current = said(" ".join(words)), said(" ".join(other))
    agreed = agreed_words(previous, current)

    text = "".join(normalise(word.text) for word in current[:agreed])
    starts = ["".join(normalise(word.text) for word in previous[:n]) for n in range(len(previous) + 1)]
    assert text in starts
