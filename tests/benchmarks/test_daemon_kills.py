"""The checker finds what it is there to find."""

from __future__ import annotations

import pytest

from benchmarks.daemon_kills import Speaker
from streamer.protocols.messages import Commit, Word


def shown(*commits: tuple[int, str]) -> Speaker:
    speaker = Speaker(0, said=["w0", "w1", "w2"])
    for number, text in commits:
        words = [Word(word, 0, 1, 0.9) for word in text.split()]
        speaker.commits.append(Commit(number, 1, text, 0, 1, words))
    return speaker


def test_nothing_is_wrong_with_every_word_once():
    assert shown((1, "w0"), (2, "w1 w2")).faults() == []


@pytest.mark.parametrize(
    "commits",
    [
        [(1, "w0"), (2, "w1")],
        [(1, "w0"), (2, "w1"), (3, "w1 w2")],
        [(1, "w0"), (2, "w2 w1")],
        [(1, "w0"), (2, "w1 w9")],
        [(1, "w0"), (1, "w1 w2")],
        [(1, "w0"), (3, "w1 w2")],
    ],
    ids=["lost", "doubled", "reordered", "changed", "an id twice", "an id left out"],
)
def test_a_fault_is_found(commits):
    assert len(shown(*commits).faults()) == 1


def test_a_gap_is_a_fault_where_none_should_be():
    speaker = shown((1, "w0 w1 w2"))
    speaker.gaps = 1
    assert speaker.faults() == ["1 gaps"]
