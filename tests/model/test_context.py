"""How much the encoder is shown, and what happens when less than 30 s leads the decoder astray."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint, load_checkpoint
from model.decoding.attempts import Planner, Recipe
from model.decoding.encode import Encoded, WindowEncoder
from model.decoding.guards import Guards
from model.decoding.prompt import PromptBuilder, token_limit
from model.files.hub import demo_folder
from model.recognizer import WhisperRecognizer
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest, Hypothesis
from streamer.config import SessionConfig
from tests.digits import errors, needs_recordings, say
from tests.fakes import LevelRecognizer
from tests.model.asking import TOKENIZER, request, same
from tests.model.small_whisper import small_checkpoint
from tests.streamer.driver import cut, new_session
from tests.streamer.harness import sentence

FULL = 1500
GREEDY = {"prompted": True, "temperature": 0.0, "drafted": True}


def encoder(*, dynamic: bool = True) -> WindowEncoder:
    return WindowEncoder(small_checkpoint().model.model.encoder, 80, dynamic=dynamic)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.1, 256), (1.0, 256), (1.28, 256), (1.29, 384), (8.0, 1024), (28.0, 2944), (29.0, 3000), (30.0, 3000)],
)
def test_the_dynamic_context_is_the_audio_and_a_margin_of_silence(seconds, frames):
    samples = int(seconds * SAMPLE_RATE)
    assert encoder().frames(samples) == frames
    assert encoder().truncates(samples) == (frames < 3000)
    assert encoder().frames(samples, full=True) == encoder(dynamic=False).frames(samples) == 3000


@given(st.integers(1, WINDOW_SAMPLES))
def test_64_to_128_positions_of_silence_follow_the_audio_unless_30_s_are_full(samples):
    positions = encoder().frames(samples) // 2
    margin = positions - samples / (2 * HOP)
    assert positions == FULL or 63.5 <= margin <= 128


def test_the_rest_of_the_context_is_silence_and_not_a_mask():
    """The same output as for the audio with zeros behind it, however the row's neighbours are encoded."""
    asked = request(2.0)
    longer = replace(asked, audio=np.pad(asked.audio, (0, encoder().frames(len(asked.audio)) * HOP - 32_000)))
    padded = WindowEncoder(small_checkpoint().model.model.encoder, 80, dynamic=True)
    padded.frames = lambda samples, *, full=False: 384  # type: ignore[method-assign]  # no second margin
    alone = encoder().encode([asked])[0].audio
    torch.testing.assert_close(padded.encode([longer])[0].audio, alone)
    windows = encoder().encode([replace(asked, stream=f"{i}") for i in range(3)], [False, True, False])
    rows = [window.audio for window in windows]
    assert [len(row) for row in rows] == [192, FULL, 192]
    torch.testing.assert_close(rows[2], alone)
    batch = Encoded.of(rows)
    assert batch.audio.shape[:2] == (3, FULL)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [192, FULL, 192]
    assert not batch.audio[0, 192:].any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 39), min_size=4, max_size=60), st.integers(100, 9000))
def test_the_context_of_a_window_never_shrinks_while_it_grows(words, chunk):
    """No flipping between two sizes: a window that keeps its start only becomes longer, and its context with it."""
    session, heard, sizes = new_session(SessionConfig(trim_after_ms=5000, left_context_ms=1000)), LevelRecognizer(), {}
    shown = encoder()
    for part in cut(sentence(*words), (chunk,)):
        session.receive_audio(part)
        while (asked := session.next_request()) is not None:
            frames = shown.frames(len(asked.audio))
            assert frames >= sizes.get(asked.start, 0)
            sizes[asked.start] = frames
            session.receive_hypothesis(heard.answer(asked))


@pytest.mark.parametrize(
    ("final", "trained", "spared", "first"),
    [
        (False, False, True, [False, True]),
        (False, True, True, [False, True]),
        (True, False, True, [True]),
        (True, True, True, [False, True]),
        (False, False, False, [False]),
        (True, False, False, [False]),
    ],
)
def test_finals_get_30_s_unless_the_model_was_trained_for_less(final, trained, spared, first):
    guards = Guards(temperatures=(0.5,), partial_temperatures=(0.5,))
    plan = Planner(guards, trusts_truncation=trained).plan(
        request(final=final, prompt=TOKENIZER.encode(" ba")), spared=spared
    )
    assert plan == (
        *[Recipe(**GREEDY, full_context=full) for full in first],
        Recipe(prompted=False, temperature=0.0, full_context=spared),
        Recipe(prompted=False, temperature=0.5, full_context=spared),
    )


@pytest.mark.parametrize(
    ("language", "spared", "limit"),
    [("en", False, 60), ("en", True, 24), ("th", True, 48), ("ka", True, 144), ("ka", False, 360), (None, False, 60)],
)
def test_text_is_limited_by_its_audio_and_by_what_its_language_needs(language, spared, limit):
    assert token_limit(request(2.0), language, spared=spared) == limit


def test_a_row_knows_whether_its_context_is_short():
    rows = [PromptBuilder(TOKENIZER).row(request(2.0), "en", spared=short) for short in (False, True)]
    assert [row.limit for row in rows] == [60, 24]


def stray(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, *, dynamic: bool = True) -> WhisperRecognizer:
    """A recognizer whose decoder never ends when the encoder is shown less than 30 s."""
    tested = WhisperRecognizer(checkpoint, dynamic=dynamic)
    rules, decode = tested._decoder._rules, tested._decoder.decode
    ends, never = rules._never, torch.cat([rules._never, torch.tensor([tested._decoder._rules.eot])])

    def astray(audio, lengths, rows, temperature, known):
        rules._never = never if audio.shape[1] < FULL else ends
        return decode(audio, lengths, rows, temperature, known)

    monkeypatch.setattr(tested._decoder, "decode", astray)
    return tested


@cache
def demo(*, trained: bool = True) -> Checkpoint:
    found = load_checkpoint("demo", offline=True)
    return found if trained else replace(found, config=replace(found.config, extra={}))


needs_demo = pytest.mark.skipif(
    not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights"
)


def ask(tested: WhisperRecognizer, audio: np.ndarray, **changes) -> Hypothesis:
    (answer,) = tested.transcribe([DecodeRequest("s", 0, audio, language="en", **changes)])
    tested.forget("s")
    return answer


@needs_demo
@needs_recordings
@pytest.mark.parametrize(("final", "trained"), [(False, True), (False, False), (True, True)])
def test_a_text_that_runs_on_in_a_short_context_is_decoded_with_30_s(monkeypatch, final, trained):
    spoken = say("jackson", 4, seed=3)
    tested, full = stray(demo(trained=trained), monkeypatch), WhisperRecognizer(demo())
    answer = ask(tested, spoken.audio, final=final)
    same(answer, ask(full, spoken.audio, final=final))
    assert errors([w.text.strip().casefold() for w in answer.words], list(spoken.words)) == 0
    assert (answer.statistics.fallbacks, answer.statistics.encoder_positions) == (1, FULL)


@needs_demo
@needs_recordings
def test_a_final_of_a_model_that_was_not_trained_for_less_is_decoded_with_30_s_at_once(monkeypatch):
    spoken = say("jackson", 4, seed=3)
    answer = ask(stray(demo(trained=False), monkeypatch), spoken.audio, final=True)
    assert (answer.statistics.fallbacks, answer.statistics.encoder_positions) == (0, FULL)


@needs_demo
@needs_recordings
@pytest.mark.parametrize("final", [False, True])
def test_speech_is_decoded_once_in_a_short_context(final):
    spoken = say("jackson", 4, seed=3)
    answer = ask(WhisperRecognizer(demo(), dynamic=True), spoken.audio, final=final)
    assert answer.statistics.fallbacks == 0
    assert answer.statistics.encoder_positions < FULL // 2
    assert errors([w.text.strip().casefold() for w in answer.words], list(spoken.words)) == 0


@needs_demo
@pytest.mark.parametrize(
    ("wanted", "trained", "context"),
    [("auto", True, "dynamic"), ("auto", False, "full"), ("full", True, "full"), ("dynamic", False, "dynamic")],
)
def test_less_than_30_s_are_shown_to_whom_it_is_asked_for_or_who_was_trained_for_it(
    monkeypatch, wanted, trained, context
):
    monkeypatch.setattr("model.recognizer.load_for_recognition", lambda *_, **__: demo(trained=trained))
    assert WhisperRecognizer.load(encoder_context=wanted).card.encoder_context == context
