"""What is safe at first sight."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import Word
from streamer.core.attention_commit import AttentionGuard
from streamer.core.commit import LocalAgreement

HEARD = 10_000


def word(text: str, attended: int | None, probability: float = 0.99) -> Word:
    return Word(f" {text}", 0, 5000 if attended is None else attended, probability, (1,), attended)


def guard(distance: int = 1000, probability: float = 0.9, margin: int = 0) -> AttentionGuard:
    return AttentionGuard(LocalAgreement(margin), distance, probability)


def test_a_sure_word_is_committed_at_first_sight():
    assert guard().update([word("one", 9000), word("two", 9001)], HEARD) == 1


@pytest.mark.parametrize(
    "doubtful",
    [
        word("two", 9001),
        word("two", 5000, probability=0.89),
        word("two", None),
        word("...", 5000),
        replace(word("two", 5000), start=4680),
    ],
    ids=[
        "looked too near the end",
        "improbable",
        "nobody knows where it looked",
        "a mark that may join the next word",
        "no audio of its own",
    ],
)
def test_nothing_is_committed_before_a_word_that_is_not_sure(doubtful):
    assert guard().update([word("one", 5000), doubtful, word("three", 5000)], HEARD) == 1


def test_a_word_that_is_not_sure_waits_for_agreement():
    policy = guard()
    tail = [word("one", 9500), word("two", 9900)]

    assert policy.update(tail, HEARD) == 0
    assert policy.update(tail, HEARD) == 2


def test_sure_words_are_committed_behind_agreed_ones():
    policy = guard()
    assert policy.update([word("one", 9500)], HEARD) == 0

    assert policy.update([word("one", 9500), word("two", 5000), word("three", 9500)], HEARD) == 2
    assert policy.update([word("three", 9600), word("four", 9700)], HEARD) == 1, "the rest agrees with the rest"


def test_after_sure_words_the_rest_agrees_with_the_rest():
    policy = guard()
    assert policy.update([word("one", 5000), word("two", 9500)], HEARD) == 1

    assert policy.update([word("two", 9600), word("three", 9700)], HEARD) == 1


def test_words_committed_for_another_reason_leave_the_rest_to_agree():
    policy = guard()
    policy.update([word("one", 9500), word("two", 9500), word("three", 9500)], HEARD)
    policy.skip(2)

    assert policy.update([word("three", 9500)], HEARD) == 1


def test_the_end_commits_everything():
    assert guard().finish([word("one", HEARD), word("two", None, probability=0.0)]) == 2


tails = st.lists(
    st.builds(word, st.sampled_from(["a", "b", "."]), st.none() | st.integers(8000, HEARD), st.floats(0.8, 1)),
    max_size=6,
)


@given(st.lists(tails, max_size=6))
def test_it_never_commits_fewer_words_than_agreement_alone_nor_more_than_there_are(hypotheses):
    for tail, following in pairwise(hypotheses):
        ours, plain = guard(), LocalAgreement(0)
        count = ours.update(tail, HEARD)
        assert plain.update(tail, HEARD) <= count <= len(tail)
        rest = following[: len(tail) - count]
        assert 0 <= ours.update(rest, HEARD) <= len(rest)
