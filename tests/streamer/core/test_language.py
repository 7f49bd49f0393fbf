"""The language of a stream: detected, doubted, kept; always a matter of the audio alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from streamer.config import ConfigError, SessionConfig
from streamer.core.commands import Configure
from streamer.core.events import Event, Final
from streamer.core.language import SURE, LanguageTracker
from tests.fakes import LevelRecognizer
from tests.streamer.driver import Player, cut, new_session
from tests.streamer.harness import sentence

Detection = Callable[[DecodeRequest], tuple[str, float]]


class Polyglot(LevelRecognizer):
    """Writes each word in the language of the request, or in the one that it hears."""

    def __init__(self, detect: Detection) -> None:
        super().__init__()
        self.detect = detect
        self.detections = 0

    def answer(self, request: DecodeRequest, size: int = 1) -> Hypothesis:
        self.requests.append(request)
        if request.language is not None:
            return super().answer(request, size)
        self.detections += 1
        language, probability = self.detect(request)
        answer = super().answer(replace(request, language=language), size)
        return replace(answer, language_probability=probability)

    def spell(self, word: int, request: DecodeRequest) -> str:
        return f" {request.language}{word}"


def talk(
    detect: Detection,
    *audio: np.ndarray,
    chunks: Sequence[int] = (1600,),
    delays: Sequence[int] = (0,),
    **options: object,
) -> tuple[Polyglot, list[Event]]:
    heard = Polyglot(detect)
    session = new_session(**options)
    return heard, Player(session, heard, delays).play(cut(np.concatenate(audio), chunks))


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.language, event.text) for event in events if isinstance(event, Final)]


FIRST, SECOND = sentence(1, 2, 3, 4, 5), sentence(11, 12, 13, 14, 15)
ENGLISH = "en1 en2 en3 en4 en5"
GERMAN = "de11 de12 de13 de14 de15"
KEPT = "en11 en12 en13 en14 en15"


def second_is(language: str, *probabilities: float, then: tuple[str, float] = ("en", 0.99)) -> Detection:
    """Hear English in the first sentence; in the second `language`, once for each probability, then something else."""
    left: dict[int, tuple[str, float]] = {}

    def detect(request: DecodeRequest) -> tuple[str, float]:
        if request.start < len(FIRST) - SAMPLE_RATE:
            return "en", 0.99
        if request.end not in left:
            left[request.end] = (language, probabilities[len(left)]) if len(left) < len(probabilities) else then
        return left[request.end]

    return detect


def test_a_detection_that_is_sure_changes_the_language_at_the_next_utterance():
    _, events = talk(second_is("de", *[0.95] * 20), FIRST, SECOND)
    assert told(events) == [("en", ENGLISH), ("de", GERMAN)]


def test_one_doubtful_detection_changes_nothing_and_costs_no_word():
    heard, events = talk(second_is("de", 0.6), FIRST, SECOND)
    assert told(events) == [("en", ENGLISH), ("en", KEPT)]
    doubted = next(request for request in heard.requests if request.start > len(FIRST) - SAMPLE_RATE)
    again = heard.requests[heard.requests.index(doubted) + 1]
    assert (again.start, again.end, again.language) == (doubted.start, doubted.end, "en"), "the same audio, in English"


def test_two_doubtful_detections_in_a_row_change_the_language():
    _, events = talk(second_is("de", *[0.6] * 20), FIRST, SECOND)
    assert told(events) == [("en", ENGLISH), ("de", GERMAN)]


def test_detections_that_contradict_each_other_change_nothing():
    guesses = iter(["de", "fr"] * 50)
    at: dict[int, str] = {}

    def detect(request: DecodeRequest) -> tuple[str, float]:
        if request.start < len(FIRST) - SAMPLE_RATE:
            return "en", 0.99
        if request.end not in at:
            at[request.end] = next(guesses)
        return at[request.end], 0.5

    _, events = talk(detect, FIRST, SECOND)
    assert told(events) == [("en", ENGLISH), ("en", KEPT)]


def test_a_doubtful_detection_of_a_whole_utterance_is_asked_again_too():
    """An utterance shorter than two updates has no second update to agree with."""
    short = sentence(17)
    heard, events = talk(second_is("de", 0.6), FIRST, short, config=SessionConfig(update_interval_ms=2000))
    assert told(events) == [("en", ENGLISH), ("en", "en17")]
    assert [request.final for request in heard.requests[-2:]] == [True, True]


def test_what_was_committed_keeps_its_language_to_the_end_of_the_utterance():
    """The detector changes its mind in the middle; nobody asks it any more."""

    def detect(request: DecodeRequest) -> tuple[str, float]:
        return ("en", 0.9) if request.end < 2 * SAMPLE_RATE else ("de", 0.99)

    heard, events = talk(detect, sentence(*range(1, 13)))
    assert told(events) == [("en", " ".join(f"en{i}" for i in range(1, 13)))]
    committed = [request for request in heard.requests if request.prefix]
    assert committed
    assert {request.language for request in committed} == {"en"}


def test_the_first_language_needs_no_evidence():
    _, events = talk(lambda _: ("de", 0.3), FIRST)
    assert told(events) == [("de", "de1 de2 de3 de4 de5")]


def test_a_language_that_the_client_named_is_never_doubted():
    heard, events = talk(lambda _: ("de", 0.99), FIRST, SECOND, language="en")
    assert told(events) == [("en", ENGLISH), ("en", KEPT)]
    assert heard.detections == 0


def test_the_text_of_another_language_is_no_prompt():
    heard, _ = talk(second_is("de", *[0.95] * 20), FIRST, SECOND, SECOND, SECOND)
    prompts = {request.language: request.prompt for request in heard.requests if request.language == "de"}
    assert prompts["de"], "German follows German"
    assert not any(set(request.prompt) & {1, 2, 3, 4, 5} for request in heard.requests if request.language == "de")


@pytest.mark.parametrize(
    ("mine", "daemon", "asked"),
    [((), (), ()), (("en", "de"), (), ("en", "de")), ((), ("de",), ("de",)), (("en",), ("de",), ("en",))],
)
def test_the_client_s_languages_go_before_the_daemon_s(mine, daemon, asked):
    heard, _ = talk(lambda _: ("en", 0.9), FIRST, languages=mine, config=SessionConfig(languages=daemon))
    assert {request.languages for request in heard.requests} == {asked}


def test_new_wishes_bring_new_languages():
    heard = Polyglot(lambda request: ((request.languages or ("en",))[0], 0.9))
    session = new_session(languages=("en",))
    player = Player(session, heard)
    for chunk in cut(FIRST, (1600,)):
        session.receive_audio(chunk)
        player.settle()
    session.reconfigure(Configure(languages=("de", "fr")))
    player.play(cut(SECOND, (1600,)))
    assert told(player.events) == [("en", ENGLISH), ("de", GERMAN)]


def changed(heard: Polyglot, configure: Configure, **options: object) -> tuple[list[DecodeRequest], list[Event]]:
    """Say two sentences, change the wishes, say two more; return the requests made after the change."""
    session = new_session(**options)
    player = Player(session, heard)
    for chunk in cut(np.concatenate([FIRST, FIRST]), (1600,)):
        session.receive_audio(chunk)
        player.settle()
    before = len(heard.requests)
    session.reconfigure(configure)
    player.play(cut(np.concatenate([SECOND, SECOND]), (1600,)))
    return heard.requests[before:], player.events


def test_a_language_that_the_client_changes_to_is_not_prompted_in_the_old_one():
    after, events = changed(Polyglot(lambda _: ("en", 0.9)), Configure(language="de"), language="en")
    assert told(events) == [("en", ENGLISH), ("en", ENGLISH), ("de", GERMAN), ("de", GERMAN)]
    german = [request.prompt for request in after if request.language == "de"]
    assert german[-1], "German follows German"
    assert not any(set(prompt) & {1, 2, 3, 4, 5} for prompt in german)


def test_the_language_that_was_found_may_be_named_without_losing_what_was_said():
    after, _ = changed(Polyglot(lambda _: ("en", 0.9)), Configure(language="en"))
    assert set(after[-1].prompt) & {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    "configure", [Configure(context="Trains."), Configure(languages=("de", "en"))], ids=["nothing", "what includes it"]
)
def test_wishes_that_allow_the_language_that_was_found_lose_nothing_of_what_was_said(configure):
    after, _ = changed(Polyglot(lambda _: ("en", 0.9)), configure)
    assert set(after[-1].prompt) & {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("daemon", "configure"), [((), Configure(languages=("fr", "es"))), (("fr", "es"), Configure())], ids=["new", "none"]
)
def test_a_language_that_the_client_excludes_is_not_insisted_on(daemon, configure):
    heard = Polyglot(lambda request: ("fr", 0.7) if "fr" in request.languages else ("en", 0.9))
    after, events = changed(heard, configure, languages=("en", "de"), config=SessionConfig(languages=daemon))
    assert {request.language for request in after} <= {None, "fr"}
    assert not any(set(request.prompt) & {1, 2, 3, 4, 5} for request in after)
    assert [language for language, _ in told(events)] == ["en", "en", "fr", "fr"]


def test_languages_that_the_model_does_not_have_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"session\.languages must be some of de, en, got 'xx', 'yy'"):
        SessionConfig(languages=("en", "xx", "yy")).check_languages(["en", "de"])
    SessionConfig(languages=("de",)).check_languages(["en", "de"])


def fickle(request: DecodeRequest) -> tuple[str, float]:
    """Hear what only the audio decides: now one language, now another, now surely, now not."""
    dice = np.random.default_rng(request.end % 100_003)
    return ("en", "de", "fr")[dice.integers(3)], float(dice.choice([0.4, 0.7, SURE, 0.95]))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 9000), min_size=1, max_size=4),
    st.lists(st.integers(0, 6000), max_size=6),
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=7), min_size=2, max_size=4),
)
def test_neither_chunking_nor_latency_changes_the_language(chunks, delays, said):
    audio = [sentence(*words) for words in said]
    _, plain = talk(fickle, *audio)
    _, other = talk(fickle, *audio, chunks=chunks, delays=delays or (0,))
    assert told(other) == told(plain)


def test_the_same_audio_is_one_piece_of_evidence():
    """However often it is asked about: a final after an update of the very same audio tells nothing new."""
    tracker = LanguageTracker()
    tracker.settle("en")
    assert not tracker.accepts("de", 0.5, end=8000)
    assert not tracker.accepts("de", 0.5, end=8000)
    assert tracker.accepts("de", 0.5, end=9000)
    assert tracker.current == "de"


def test_a_detection_that_is_sure_needs_no_second_one():
    tracker = LanguageTracker()
    tracker.settle("en")
    assert tracker.accepts("de", 0.9, end=8000)
    assert tracker.current == "de"


def test_an_answer_in_the_stream_s_language_ends_a_rival_s_run():
    tracker = LanguageTracker()
    tracker.settle("en")
    assert not tracker.accepts("de", 0.5, end=1000)
    assert tracker.accepts("en", 0.5, end=2000)
    assert not tracker.accepts("de", 0.5, end=3000)
