"""The comparison of drafts compares what it says it does."""

from dataclasses import replace

import pytest

from benchmarks.drafts import Way, compare, describe, joined, report
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE, Segment, Word
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.session import Session
from tests.fakes import LevelRecognizer, LevelVad, silence, speak

WORDS = Speech(speak([3, 1, 4, 1, 5, 9, 2, 6]), ())


def session() -> Session:
    return Session("talk", SessionConfig(), EndpointConfig(), LevelVad())


class Drafting(LevelRecognizer):
    """Needs a pass for each word that the draft does not give."""

    def answer(self, request, size=1):
        hypothesis = super().answer(request, size)
        drafted = sum(len(segment.words) for segment in request.draft)
        accepted = min(drafted, len(hypothesis.words))
        statistics = replace(
            hypothesis.statistics,
            passes=len(hypothesis.words) - accepted + 1,
            draft_tokens=drafted,
            accepted_tokens=accepted,
        )
        return replace(hypothesis, statistics=statistics)


class Parrot(LevelRecognizer):
    """Believes the draft of the last request, cut-off words and all."""

    def answer(self, request, size=1):
        hypothesis = super().answer(request, size)
        return replace(hypothesis, segments=request.draft) if request.final and request.draft else hypothesis


def test_every_request_is_decoded_in_four_ways_that_take_turns_in_being_first():
    drafted, plain = LevelRecognizer(), LevelRecognizer()
    updates = compare(session(), {True: drafted, False: plain}, WORDS)

    assert len(drafted.requests) == len(plain.requests) == 2 * len(updates) > 12
    assert [r.stream.removeprefix("talk ") for r in drafted.requests[:4]] == [
        "all as draft",
        "forced, rest as draft",
        "all as draft",
        "forced, rest as draft",
    ]
    assert [r.stream.removeprefix("talk ") for r in drafted.requests[6:8]] == ["forced, rest as draft", "all as draft"]
    assert any(request.prefix for request in plain.requests)
    assert not any(request.draft for request in plain.requests)
    assert all(not r.prefix for r in [*drafted.requests, *plain.requests] if "forced" not in r.stream)


def test_nothing_of_what_was_said_is_missing_from_the_draft_of_the_whole():
    def word(text):
        return Word(text, 0, 1, 1.0)

    committed = (Segment(0, 10, (word(" a"),)), Segment(10, None, (word(" b"),)))
    guessed = (Segment(10, 30, (word(" c"),)), Segment(40, None, (word(" d"),)))
    whole = joined(committed, guessed)

    assert [word.text for segment in whole for word in segment.words] == [" a", " b", " c", " d"]
    assert [(segment.start, segment.end) for segment in whole] == [(0, 10), (10, 30), (40, None)]
    assert joined(committed, ()) == committed
    assert joined((), guessed) == guessed


def test_a_draft_that_saves_passes_is_reported_with_the_same_text():
    updates = compare(session(), {True: Drafting(), False: Drafting()}, WORDS)

    assert all(update.same for update in updates)
    assert report(updates, Way.BOTH).passes < report(updates, Way.PREFIX).passes < report(updates, Way.NOTHING).passes
    assert report(updates, Way.DRAFT).passes < report(updates, Way.NOTHING).passes
    assert report(updates, Way.BOTH).accepted == 1.0
    assert report(updates, Way.NOTHING).time == 1.0
    assert "in 0 of them" in describe({"talk": updates}, "command", "here")


def test_a_draft_that_changes_the_text_is_reported():
    updates = compare(session(), {True: Parrot(), False: LevelRecognizer()}, WORDS)

    assert not all(update.same for update in updates)


def test_speech_without_a_request_cannot_be_reported():
    updates = compare(session(), {True: LevelRecognizer(), False: LevelRecognizer()}, Speech(silence(SAMPLE_RATE), ()))
    with pytest.raises(ValueError, match="no updates"):
        report(updates, Way.BOTH)
