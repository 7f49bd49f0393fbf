"""One stream as a state machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.decoding.requests import check_request
from model.types import SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest, Hypothesis
from streamer.config import SessionConfig
from streamer.core.commands import Configure
from streamer.core.events import Commit, Done, Event, Final, Flushed, Gap, Partial, SpeechEnded, SpeechStarted, Warned
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.driver import Player, commits, committed_words, cut, finals, new_session, play

SECOND = SAMPLE_RATE
words = st.integers(0, LEVELS - 1)
phrases = st.lists(st.lists(words, min_size=1, max_size=8), min_size=1, max_size=4)
chunk_sizes = st.lists(st.integers(16, 2 * SECOND), min_size=1, max_size=6)
latencies = st.lists(st.integers(0, 8 * SECOND), min_size=1, max_size=6)


def audio_of(said: list[list[int]], pause: int = SECOND) -> np.ndarray:
    """Speak phrases with pauses long enough to end utterances."""
    parts = [silence(SECOND // 3)]
    for phrase in said:
        parts += [speak(phrase), silence(pause)]
    return np.concatenate(parts)


def spoken(said: list[list[int]]) -> list[str]:
    return [f"w{word}" for phrase in said for word in phrase]


@given(phrases, chunk_sizes, latencies, st.booleans())
@example([[1], [0, 0, 0], [1, 0]], [1600], [20 * SECOND], False)
@settings(max_examples=50, deadline=None)
def test_neither_chunking_nor_latency_changes_the_transcript(said, chunks, delays, hurried):
    audio = audio_of(said)

    assert finals(play(audio, chunks, delays, hurried=hurried)) == [" ".join(spoken([phrase])) for phrase in said]


class Fickle(LevelRecognizer):
    """Mishears: how it spells a word depends on where the audio ends, and two in a row often agree on nonsense."""

    def spell(self, word: int, request: DecodeRequest) -> str:
        return f" w{word}x{(request.end // 6400 * 7 + word) % 5 // 2}"


@given(phrases, chunk_sizes, latencies)
@settings(max_examples=40, deadline=None)
def test_even_a_recognizer_that_errs_commits_the_same_at_the_same_times(said, chunks, delays):
    audio = audio_of(said)
    expected, played = (
        [replace(commit, lag=None) for commit in commits(play(audio, *how, recognizer=Fickle()))]
        for how in (([480], [0]), (chunks, delays))
    )

    assert played == expected


@given(phrases, chunk_sizes, latencies, st.booleans())
@settings(max_examples=40, deadline=None)
def test_each_spoken_word_is_committed_exactly_once(said, chunks, delays, hurried):
    assert committed_words(play(audio_of(said), chunks, delays, hurried=hurried)) == spoken(said)


@given(phrases, chunk_sizes, latencies, st.booleans())
@settings(max_examples=40, deadline=None)
def test_commits_only_append_and_finals_are_their_join(said, chunks, delays, hurried):
    events = play(audio_of(said), chunks, delays, hurried=hurried)

    assert [commit.id for commit in commits(events)] == list(range(1, len(commits(events)) + 1))
    begun = [event.utterance for event in events if isinstance(event, SpeechStarted)]
    assert begun == list(range(1, len(said) + 1))
    texts: dict[int, str] = {}
    closed: set[int] = set()
    last_end = 0
    for event in events:
        match event:
            case Commit():
                assert event.utterance not in closed
                texts[event.utterance] = texts.get(event.utterance, "") + event.text
                for word in event.words:
                    assert last_end <= word.start <= word.end
                    last_end = word.end
            case Final():
                closed.add(event.utterance)
                assert event.text == texts.get(event.utterance, "")


@given(
    st.lists(words, min_size=60, max_size=120),
    st.lists(st.integers(160, 2 * SECOND), min_size=1, max_size=4),
    st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=4),
    st.integers(0, SECOND // 3),
    st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_speech_without_a_pause_loses_and_doubles_nothing_at_trims(said, chunks, delays, gap, hurried):
    audio = np.concatenate([silence(SECOND // 3), speak(said, gap=gap + 320), silence(SECOND)])
    events = play(audio, chunks, delays, hurried=hurried)

    assert committed_words(events) == spoken([said])
    assert not [event for event in events if isinstance(event, Gap)]


class Restless(LevelRecognizer):
    """Spells a word with another case or punctuation in each request, and never says twice the same."""

    def spell(self, word: int, request: DecodeRequest) -> str:
        variants = (f" W{word}", f" w{word},", f" w{word}.", f" W{word}?!")
        return variants[(len(request.audio) // 480 + word) % len(variants)]


def test_a_flip_of_case_or_punctuation_does_not_stop_agreement():
    audio = np.concatenate([speak(range(12)), silence(SECOND)])
    player = Player(new_session(), Restless())
    for chunk in cut(audio[: 3 * SECOND], [3200]):
        player.session.receive_audio(chunk)
        player.settle()

    assert len(committed_words(player.events)) >= 5


def test_a_word_said_twice_is_kept_twice():
    events = play(np.concatenate([speak([3, 3, 4]), silence(SECOND), speak([3, 3, 3, 3, 3, 3]), silence(SECOND)]))

    assert finals(events) == ["w3 w3 w4", "w3 w3 w3 w3 w3 w3"]


class Stubborn(LevelRecognizer):
    """Never says the same word twice: nothing ever agrees."""

    def spell(self, word: int, request: DecodeRequest) -> str:
        return f" w{word}x{len(request.audio) // 480}"


def test_a_full_window_without_agreement_moves_on_with_a_warning_and_loses_nothing():
    said = [n % LEVELS for n in range(150)]
    events = play(np.concatenate([speak(said, gap=160 * 5), silence(SECOND)]), recognizer=Stubborn())

    assert [word.split("x")[0] for word in committed_words(events)] == spoken([said])
    assert "window_full" in {event.code for event in events if isinstance(event, Warned)}


class Silent(LevelRecognizer):
    """Hears no words."""

    def words(self, request: DecodeRequest):
        return iter(())


@pytest.mark.parametrize("delay", [0, 4 * SECOND])
def test_a_minute_of_noise_that_passes_the_detector_gives_no_text_and_ends(delay):
    noise = np.full(60 * SECOND, 0.3, dtype=np.float32)
    events = play(np.concatenate([noise, silence(SECOND)]), [8000], [delay], recognizer=Silent())

    assert finals(events) == []
    assert isinstance(events[-1], Done)


def test_requests_never_exceed_the_window_and_start_on_a_frame():
    recognizer = LevelRecognizer()
    player = Player(new_session(), recognizer, [40 * SECOND, 0])
    player.session.cadence.hurried = True
    seen: list[DecodeRequest] = []
    original = recognizer.answer

    def answer(request: DecodeRequest, size: int = 1) -> Hypothesis:
        seen.append(request)
        return original(request, size)

    recognizer.answer = answer  # type: ignore[method-assign]
    player.play(cut(np.concatenate([speak([n % LEVELS for n in range(200)]), silence(SECOND)]), [777]))

    assert max(len(request.audio) for request in seen) == WINDOW_SAMPLES
    assert all(request.start % 160 == 0 for request in seen)


class Minutes(LevelRecognizer):
    """Notes what it was asked, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[DecodeRequest] = []

    def answer(self, request: DecodeRequest, size: int = 1) -> Hypothesis:
        check_request(request, self.card)
        self.seen.append(request)
        return super().answer(request, size)


@given(st.lists(st.lists(words, min_size=1, max_size=80), min_size=1, max_size=3), chunk_sizes, latencies)
@settings(max_examples=20, deadline=None)
def test_a_request_says_where_those_before_it_ended_that_began_where_it_begins(said, chunks, delays):
    minutes = Minutes()
    play(audio_of(said), chunks, delays, recognizer=minutes)
    before: dict[int, list[int]] = {}
    for request in minutes.seen:
        ends = before.setdefault(request.start, [])
        assert request.earlier == tuple(ends)
        assert ends == sorted(ends)
        ends.append(request.end)
    longest = max(len(phrase) for phrase in said)
    assert longest < 60 or len({request.start for request in minutes.seen}) > len(said), "windows were trimmed"


def test_an_utterance_may_end_where_its_last_update_ended():
    """A flush at the very sample up to which the speech has been decoded."""
    session, minutes = new_session(), Minutes()
    for part in cut(np.concatenate([silence(SECOND // 3), speak([1, 2, 3, 4, 5, 6, 7, 1, 2, 3])]), [480]):
        session.receive_audio(part)
        while (request := session.next_request()) is not None:
            session.receive_hypothesis(minutes.answer(request))
        if len(minutes.seen) > 2 and minutes.seen[-1].end == session.received:
            break
    session.receive_flush("now")
    last = session.next_request()
    assert last is not None
    assert last.final
    assert last.end == last.earlier[-1] == session.received, "this is about an utterance that was heard to its end"
    check_request(last, minutes.card)


def test_a_request_that_failed_is_not_one_of_those_before():
    session, minutes = new_session(), Minutes()
    session.receive_audio(np.concatenate([silence(SECOND // 3), speak([1, 2, 3, 4, 5, 6])]))
    first = session.next_request()
    assert first is not None
    session.receive_failure("lost")
    again = session.next_request()
    assert again is not None
    assert (again.end, again.earlier) == (first.end, ())
    session.receive_hypothesis(minutes.answer(again))
    for _ in range(2):
        given_up = session.next_request()
        assert given_up is not None
        assert given_up.earlier == (first.end,)
        session.receive_failure("lost")
    after = session.next_request()
    assert after is not None
    assert after.start > first.start
    assert after.earlier == ()


def test_the_events_of_an_utterance_come_in_order():
    kinds = [type(event) for event in play(audio_of([[1, 2, 3, 4]]))]

    assert kinds[0] is SpeechStarted
    assert kinds[-3:] == [Commit, Final, Done] or kinds[-2:] == [Final, Done]
    assert kinds.index(SpeechEnded) < kinds.index(Final)
    assert kinds.index(Commit) < kinds.index(SpeechEnded), "words are committed while one speaks"


def test_a_partial_is_the_tail_after_the_commits():
    events = play(audio_of([[1, 2, 3, 4, 5, 6]]), [1600])
    said = ""
    whole = "w1 w2 w3 w4 w5 w6"
    for event in events:
        if isinstance(event, Commit):
            said += event.text
        if isinstance(event, Partial):
            guess = (said + event.text).split()
            assert whole.split()[: len(guess) - 1] == guess[:-1]


def test_a_flush_finalises_all_audio_before_it_and_is_answered_once():
    audio = speak([1, 2, 3, 4])
    half = len(speak([1, 2])) - 333
    session = new_session()
    player = Player(session, LevelRecognizer())
    session.receive_audio(audio[:half])
    session.receive_flush("here")
    player.settle()

    assert finals(player.events) == ["w1 w2"]
    assert player.events[-1] == Flushed("here")
    session.receive_audio(audio[half:])
    session.receive_eof()
    player.settle(ended=True)
    assert finals(player.events) == ["w1 w2", "w3 w4"]
    assert [event for event in player.events if isinstance(event, Flushed)] == [Flushed("here")]


@given(st.lists(words, min_size=2, max_size=8), st.data())
@settings(max_examples=40, deadline=None)
def test_flushes_between_words_lose_nothing(said, data):
    cuts = data.draw(st.sets(st.integers(0, len(said) - 1)))
    session = new_session()
    player = Player(session, LevelRecognizer(), [data.draw(st.integers(0, 2 * SECOND))])
    for index, word in enumerate(said):
        session.receive_audio(speak([word]))
        player.settle()
        if index in cuts:
            session.receive_flush(str(index))
    session.receive_eof()
    player.settle(ended=True)

    assert committed_words(player.events) == spoken([said])
    assert [event.id for event in player.events if isinstance(event, Flushed)] == [str(n) for n in sorted(cuts)]


def test_a_flush_in_silence_is_answered_at_once():
    session = new_session()
    session.receive_audio(silence(SECOND))
    session.receive_flush("now")

    assert list(session.events()) == [Flushed("now")]


def test_a_word_too_short_for_an_onset_is_not_lost_at_the_end():
    session = new_session()
    player = Player(session, LevelRecognizer())
    session.receive_audio(np.concatenate([silence(4800), speak([7])[:960]]))
    session.receive_eof()
    player.settle(ended=True)

    assert finals(player.events) == ["cut960"]


def test_silence_is_not_decoded_and_not_kept():
    session = new_session()
    for _ in range(600):
        session.receive_audio(silence(SECOND))

        assert session.next_request() is None
    assert session.backlog == 0
    assert len(session._intake.window) < SECOND


def test_partials_coalesce_while_nobody_takes_them():
    audio = speak([1, 2, 3, 4, 5, 6, 7, 8])
    session, recognizer = new_session(SessionConfig(commit_margin_ms=5000)), LevelRecognizer()
    for chunk in cut(audio, [1600]):
        session.receive_audio(chunk)
        request = session.next_request()
        if request is not None:
            session.receive_hypothesis(recognizer.answer(request))

    assert [type(event) for event in session.events()] == [SpeechStarted, Partial]


def test_partials_can_be_declined():
    player = Player(new_session(partials=False), LevelRecognizer())
    events = player.play(cut(audio_of([[1, 2, 3, 4, 5]]), [1600]))

    assert not [event for event in events if isinstance(event, Partial)]
    assert finals(events) == ["w1 w2 w3 w4 w5"]


def test_only_one_request_is_in_flight():
    session = new_session()
    session.receive_audio(speak([1, 2, 3, 4]))

    assert session.next_request() is not None
    assert session.next_request() is None
    assert not session.wants_decode


def test_an_answer_nobody_asked_for_is_refused():
    session, recognizer = new_session(), LevelRecognizer()
    session.receive_audio(speak([1, 2, 3, 4]))
    request = session.next_request()
    assert request is not None
    session.receive_hypothesis(recognizer.answer(request))

    with pytest.raises(RuntimeError, match="no request is in flight"):
        session.receive_hypothesis(recognizer.answer(request))


@pytest.mark.parametrize(("named", "told"), [("de", ("de", "de")), (None, ("", "en"))])
def test_a_failed_request_becomes_a_gap_and_the_session_goes_on(named, told):
    session, recognizer = new_session(language=named), LevelRecognizer()
    player = Player(session, recognizer)
    session.receive_audio(np.concatenate([speak([1, 2, 3]), silence(SECOND)]))
    session.cadence.hurried = True
    for _ in range(2):
        request = session.next_request()
        assert request is not None
        session.receive_failure("device on fire")
    session.receive_audio(np.concatenate([speak([4, 5]), silence(SECOND)]))
    session.receive_eof()
    player.settle(ended=True)

    gaps = [event for event in player.events if isinstance(event, Gap)]
    assert gaps == [Gap(request.start, request.end, "device on fire")]
    heard = [(event.language, event.text) for event in player.events if isinstance(event, Final)]
    assert heard == list(zip(told, ["", "w4 w5"], strict=True))
    assert isinstance(player.events[-1], Done)


def test_after_a_gap_nothing_agrees_with_what_was_heard_before_it():
    session, recognizer = new_session(), LevelRecognizer()
    player = Player(session, recognizer)
    session.receive_audio(speak([1, 2, 3, 4])[: SECOND // 2])
    player.settle()
    before = [event.text for event in player.events if isinstance(event, Partial)]
    assert before, "something is guessed and nothing committed"
    session.receive_audio(speak([1, 2, 3, 4])[SECOND // 2 :])
    session.cadence.hurried = True
    for _ in range(2):
        assert session.next_request() is not None
        session.receive_failure("lost")
    session.receive_audio(np.concatenate([silence(320), speak([1, 2, 3])]))
    request = session.next_request()
    assert request is not None
    session.receive_hypothesis(recognizer.answer(request))

    assert commits(session.events()) == [], "one hypothesis after the gap is not two that agree"


def test_a_partial_is_taken_back_after_a_gap():
    session, recognizer = new_session(), Silent()
    player = Player(session, LevelRecognizer())
    session.receive_audio(speak([1, 2, 3, 4])[: SECOND // 2])
    player.settle()
    assert isinstance(player.events[-1], Partial)
    assert player.events[-1].text
    session.receive_audio(speak([1, 2, 3, 4])[SECOND // 2 :])
    session.cadence.hurried = True
    for _ in range(2):
        assert session.next_request() is not None
        session.receive_failure("lost")
    session.receive_audio(speak([3, 4]))
    request = session.next_request()
    assert request is not None
    session.receive_hypothesis(recognizer.answer(request))

    assert [event.text for event in session.events() if isinstance(event, Partial)] == [""]


def test_flushes_that_nobody_hears_of_are_counted():
    session = new_session()
    session.receive_audio(speak([1, 2]))
    for number in range(50):
        session.receive_flush(str(number))

    assert session.untold >= 50


def test_a_single_failure_costs_nothing_but_a_warning():
    session = new_session()
    player = Player(session, LevelRecognizer())
    session.receive_audio(np.concatenate([speak([1, 2, 3]), silence(SECOND)]))
    assert session.next_request() is not None
    session.receive_failure("out of memory")
    session.receive_eof()
    player.settle(ended=True)

    assert [event.code for event in player.events if isinstance(event, Warned)] == ["recognition_failed"]
    assert finals(player.events) == ["w1 w2 w3"]


def test_failures_that_are_not_in_a_row_are_no_gap():
    session, recognizer = new_session(), LevelRecognizer()
    session.receive_audio(np.concatenate([speak(range(6)), silence(SECOND)]))
    while session.next_request() is not None:
        session.receive_failure("out of memory")
        request = session.next_request()
        assert request is not None
        session.receive_hypothesis(recognizer.answer(request))

    events = list(session.events())
    assert committed_words(events) == spoken([list(range(6))])
    assert not [event for event in events if isinstance(event, Gap)]


def test_after_a_gap_failures_are_counted_anew():
    session = new_session()
    session.receive_audio(speak(range(6)))
    for _ in range(3):
        assert session.next_request() is not None
        session.receive_failure("out of memory")

    assert [type(event) for event in session.events()] == [SpeechStarted, Warned, Gap, Warned]


def test_what_was_committed_before_a_failure_stands():
    session, recognizer = new_session(), LevelRecognizer()
    player = Player(session, recognizer)
    for chunk in cut(speak([1, 2, 3, 4, 5]), [1600]):
        session.receive_audio(chunk)
        player.settle()
    before = committed_words(player.events)
    assert before
    session.receive_audio(np.concatenate([speak([6]), silence(SECOND)]))
    session.cadence.hurried = True
    for _ in range(2):
        assert session.next_request() is not None
        session.receive_failure("lost")
    session.receive_eof()
    player.settle(ended=True)

    assert finals(player.events) == [" ".join(before)]
    [gap] = [event for event in player.events if isinstance(event, Gap)]
    assert gap.start == commits(player.events)[-1].end, "what was committed is no part of the gap"


def test_earlier_text_becomes_the_prompt_within_its_limit():
    recognizer = LevelRecognizer()
    seen: list[tuple[int, ...]] = []
    original = recognizer.answer

    def answer(request: DecodeRequest, size: int = 1) -> Hypothesis:
        seen.append(request.prompt)
        return original(request, size)

    recognizer.answer = answer  # type: ignore[method-assign]
    config = SessionConfig(prompt_tokens=3)
    Player(new_session(config), recognizer).play(cut(audio_of([[1, 2], [3, 4], [5]]), [1600]))

    assert seen[0] == ()
    assert seen[-1] == (2, 3, 4)


def test_a_detected_language_holds_for_the_rest_of_the_utterance_only():
    recognizer = LevelRecognizer()
    asked: list[str | None] = []
    original = recognizer.answer

    def answer(request: DecodeRequest, size: int = 1) -> Hypothesis:
        asked.append(request.language)
        return original(request, size)

    recognizer.answer = answer  # type: ignore[method-assign]
    Player(new_session(), recognizer).play(cut(audio_of([[1, 2, 3, 4, 5], [6]]), [1600]))

    changes = [language for index, language in enumerate(asked) if index == 0 or asked[index - 1] != language]
    assert changes == [None, "en", None]


def test_lag_counts_the_audio_that_came_after_what_was_decoded():
    events: list[Event] = play(audio_of([list(range(15))]), [1600], [SECOND])

    lags = [event.lag for event in events if isinstance(event, Commit) and event.lag is not None]
    assert lags
    assert lags[0] >= SECOND


@pytest.mark.parametrize(
    "late",
    [
        lambda session: session.receive_audio(silence(100)),
        lambda session: session.receive_flush("late"),
        lambda session: session.receive_mark("late"),
        lambda session: session.warn("late", "too late"),
        lambda session: session.reconfigure(Configure()),
        lambda session: session.discard(),
    ],
    ids=["audio", "flush", "mark", "warning", "wishes", "discard"],
)
def test_nothing_is_taken_after_the_end(late):
    session = new_session()
    session.receive_eof()

    assert session.done
    with pytest.raises(RuntimeError, match="ended"):
        late(session)


@pytest.mark.parametrize("bad", [np.zeros((2, 10), np.float32), np.zeros(10, np.int16)])
def test_audio_of_another_shape_or_type_is_refused(bad):
    with pytest.raises(ValueError, match="audio must be"):
        new_session().receive_audio(bad)
