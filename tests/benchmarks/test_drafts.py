"""The comparison of drafts compares what it says it does."""

from dataclasses import replace

import pytest

from benchmarks.drafts import PLAIN, compare, report
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE
from streamer.config import EndpointConfig, SessionConfig
from streamer.session import Session
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


def test_every_request_is_decoded_with_and_without_its_draft_in_alternating_order():
    recognizer = LevelRecognizer()
    updates = compare(session(), recognizer, WORDS)
    pairs = list(zip(recognizer.requests[::2], recognizer.requests[1::2], strict=True))

    assert len(pairs) == len(updates) > 3
    for number, pair in enumerate(pairs):
        drafted, plain = reversed(pair) if number % 2 else pair
        assert plain.stream == drafted.stream + PLAIN
        assert plain.draft == ()
        assert plain.audio is drafted.audio
    assert any(request.draft for request in recognizer.requests)
    assert recognizer.forgotten == ["talk", "talk" + PLAIN]


def test_a_draft_that_saves_passes_is_reported_with_the_same_text():
    found = report(compare(session(), Drafting(), WORDS))

    assert found.different == 0
    assert found.passes < found.passes_plain
    assert found.tokens_per_pass > found.tokens_per_pass_plain
    assert found.accepted == 1.0


def test_a_draft_that_changes_the_text_is_reported():
    assert report(compare(session(), Parrot(), WORDS)).different > 0


def test_speech_without_a_request_cannot_be_reported():
    with pytest.raises(ValueError, match="no updates"):
        report(compare(session(), LevelRecognizer(), Speech(silence(SAMPLE_RATE), ())))
