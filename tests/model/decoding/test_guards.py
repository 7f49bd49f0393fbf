from dataclasses import replace

import pytest
import torch

from model.decoding.choice import best
from model.decoding.guards import Guards
from model.decoding.rows import Decoded
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from tests.model.asking import CLOSED, DRAFT, STAMP, TOKENIZER, request, same
from tests.model.small_whisper import small_checkpoint


def scripted(
    monkeypatch, *texts: tuple[str, float, float], seconds: float = 2.0, dynamic: bool = False
) -> tuple[WhisperRecognizer, list]:
    """A recognizer that decodes what is written here, attempt by attempt: text, log-probability, no-speech."""
    tested = WhisperRecognizer(small_checkpoint(), dynamic=dynamic)
    samples = int(seconds * SAMPLE_RATE)
    calls = []

    def decode(audio, lengths, rows, temperature, known):
        text, log_probability, no_speech = texts[min(len(calls), len(texts) - 1)]
        calls.append((temperature, bool(rows[0].sot), len(rows[0].draft) > 1))
        tokens = [STAMP, *TOKENIZER.encode(text), STAMP + 1500] if text else [STAMP]
        found = []
        for row in rows:
            size = len(row.prefix) + len(tokens) + 1
            attention = torch.zeros(1, size, audio.shape[1])
            heard = -(-samples // 320)  # each token has its even share of the audio
            for i in range(size):
                attention[0, i, i * heard // size : (i + 1) * heard // size] = 1
            found.append(
                Decoded(
                    tokens, [log_probability] * (len(tokens) + 1), ended=True, no_speech=no_speech, attention=attention
                )
            )
        return found

    monkeypatch.setattr(tested._decoder, "decode", decode)
    return tested, calls


LOOP = " ba do" * 30
GOOD = " ba do ki"


def ask(tested: WhisperRecognizer, *, final: bool, seconds: float = 2.0, **changes) -> tuple[str, Hypothesis]:
    (answer,) = tested.transcribe([request(seconds, final=final, **changes)])
    return "".join(w.text for w in answer.words), answer


def test_a_good_decode_is_taken_at_once(monkeypatch):
    tested, calls = scripted(monkeypatch, (GOOD, -0.3, 0.0))
    assert ask(tested, final=True)[0] == GOOD
    assert calls == [(0.0, False, False)]


@pytest.mark.parametrize("final", [False, True])
def test_a_loop_is_decoded_again_without_prompt_and_draft(monkeypatch, final):
    tested, calls = scripted(monkeypatch, (LOOP, -0.1, 0.0), (GOOD, -0.3, 0.0))
    text, answer = ask(tested, final=final, prompt=TOKENIZER.encode(LOOP), draft=DRAFT)
    assert text == GOOD
    assert calls == [(0.0, True, True), (0.0, False, False)]
    assert answer.statistics.fallbacks == 1


def test_a_loop_in_a_final_is_decoded_at_rising_temperatures(monkeypatch):
    tested, calls = scripted(monkeypatch, (LOOP, -0.1, 0.0), (LOOP, -0.1, 0.0), (LOOP, -0.1, 0.0), (GOOD, -0.9, 0.0))
    assert ask(tested, final=True)[0] == GOOD
    assert [temperature for temperature, _, _ in calls] == [0.0, 0.2, 0.4, 0.6]


def test_a_loop_that_will_not_go_away_is_not_shown_but_its_final_is_given(monkeypatch):
    tested, _ = scripted(monkeypatch, (LOOP, -0.1, 0.0))
    assert ask(tested, final=False)[0] == ""
    assert ask(tested, final=True)[0] == LOOP


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("text", [" no no no no", " ba do ba do ba do ba do", " two two two two two two two"])
def test_what_is_really_said_again_and_again_survives(monkeypatch, text, final):
    tested, calls = scripted(monkeypatch, (text, -0.3, 0.0), seconds=4.0)
    assert ask(tested, final=final, seconds=4.0)[0] == text
    assert len(calls) == 1


def test_long_real_repetition_is_decoded_once_more_and_kept(monkeypatch):
    """At the pace of speech, 2 words a second: repetitive enough to compress, not a loop."""
    text = " ba do" * 20
    tested, calls = scripted(monkeypatch, (text, -0.2, 0.0), seconds=20.0)
    found, answer = ask(tested, final=True, seconds=20.0, prompt=TOKENIZER.encode(" ki"))
    assert answer.compression_ratio > 2.4
    assert found == text
    assert calls == [(0.0, True, False), (0.0, False, False)]


def test_repetition_that_goes_without_the_prompt_goes(monkeypatch):
    """At the pace of speech too: the prompt was continued, not the audio heard."""
    tested, calls = scripted(monkeypatch, (" ba do" * 20, -0.2, 0.0), (GOOD, -0.5, 0.0), seconds=20.0)
    assert ask(tested, final=True, seconds=20.0, prompt=TOKENIZER.encode(" ba do"))[0] == GOOD
    assert len(calls) == 2


@pytest.mark.parametrize(("dynamic", "found"), [(True, GOOD), (False, " ba do" * 20)])
def test_a_repetitive_partial_is_decoded_again_where_the_context_was_short(monkeypatch, dynamic, found):
    tested, calls = scripted(monkeypatch, (" ba do" * 20, -0.2, 0.0), (GOOD, -0.5, 0.0), seconds=20.0, dynamic=dynamic)
    text, answer = ask(tested, final=False, seconds=20.0)
    assert text == found
    assert len(calls) == 1 + dynamic
    assert answer.statistics.encoder_positions == 1500


def test_real_repetition_in_a_short_context_is_decoded_once_more_and_kept(monkeypatch):
    text = " ba do" * 20
    tested, calls = scripted(monkeypatch, (text, -0.2, 0.0), seconds=20.0, dynamic=True)
    for final, times in ((False, 2), (True, 1)):  # the first attempt at a final has 30 s already
        calls.clear()
        assert ask(tested, final=final, seconds=20.0)[0] == text
        assert len(calls) == times


def test_words_for_silence_are_not_taken(monkeypatch):
    tested, calls = scripted(monkeypatch, (GOOD, -1.4, 0.9))
    for final in (False, True):
        text, answer = ask(tested, final=final)
        assert text == ""
        assert answer.no_speech_probability == 0.9
    assert len(calls) == 2


@pytest.mark.parametrize(("log_probability", "no_speech"), [(-0.4, 0.9), (-1.4, 0.3)])
def test_one_sign_of_silence_is_not_enough(monkeypatch, log_probability, no_speech):
    tested, _ = scripted(monkeypatch, (GOOD, log_probability, no_speech))
    assert ask(tested, final=False)[0] == GOOD


def test_silence_is_not_judged_where_words_are_committed(monkeypatch):
    """The no-speech probability speaks of the whole window."""
    tested, _ = scripted(monkeypatch, (GOOD, -1.4, 0.9))
    assert ask(tested, final=False, prefix=CLOSED)[0] == GOOD


def test_an_unlikely_final_is_tried_again_and_the_best_attempt_wins(monkeypatch):
    tested, calls = scripted(monkeypatch, (" ki", -1.5, 0.0), (" mu", -1.2, 0.0), (" ba", -1.9, 0.0))
    assert ask(tested, final=True)[0] == " mu"
    assert [temperature for temperature, _, _ in calls] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_an_unlikely_partial_is_shown_at_once(monkeypatch):
    tested, calls = scripted(monkeypatch, (GOOD, -1.5, 0.0))
    text, answer = ask(tested, final=False, prompt=TOKENIZER.encode(" ki"))
    assert text == GOOD
    assert answer.trusted
    assert len(calls) == 1, "though it could be decoded without the prompt"


def test_only_the_rows_that_fail_are_decoded_again():
    tested = WhisperRecognizer(small_checkpoint(), dynamic=True, guards=Guards(log_probability=-1.9))
    batch = [request(1.5, seed=i, final=i % 2 == 0) for i in range(4)]
    answers = tested.transcribe(batch)
    for asked, answer in zip(batch, answers, strict=True):
        same(answer, tested.transcribe([asked])[0])
        assert asked.final or answer.statistics.fallbacks == 0
    assert any(answer.statistics.fallbacks for answer in answers)


def test_an_unlikely_text_is_better_than_a_loop(monkeypatch):
    tested, _ = scripted(monkeypatch, (LOOP, -0.1, 0.0), (GOOD, -1.5, 0.0), (LOOP, -0.1, 0.0))
    assert ask(tested, final=True)[0] == GOOD


def stepwise(tested: WhisperRecognizer, asked: DecodeRequest) -> list[Hypothesis]:
    """Ask for one attempt after the other until one is settled."""
    made = []
    while not made or not made[-1].settled:
        made += tested.transcribe([replace(asked, attempt=len(made))])
    return made


@pytest.mark.parametrize("final", [False, True])
def test_attempts_asked_for_one_by_one_come_to_the_same_answer(final):
    strict = Guards(
        no_speech=1.1, log_probability=-2.25, compression=1.5, partial_temperatures=(0.4,), loop_copies=1, loop_pace=6.0
    )
    tested = WhisperRecognizer(small_checkpoint(-1.2), dynamic=True, guards=strict)
    counts = set()
    for seed in range(6):
        asked = request(1.5, seed=seed, final=final, prompt=TOKENIZER.encode(" ba do") if seed % 2 else ())
        (whole,) = tested.transcribe([asked])
        made = stepwise(tested, asked)
        same(best(made), whole)
        assert best(made).statistics.passes == whole.statistics.passes
        assert len(made) - 1 == whole.statistics.fallbacks
        counts.add(len(made))
    assert len(counts) > 1, "some are taken at once, some are not"


def test_an_attempt_beyond_the_plan_is_the_last_one_and_settled(monkeypatch):
    tested, calls = scripted(monkeypatch, (GOOD, -1.5, 0.0))
    for attempt, temperature in [(0, 0.0), (2, 0.4), (5, 1.0), (6, 1.0), (99, 1.0)]:
        (answer,) = tested.transcribe([request(final=True, attempt=attempt)])
        assert calls[-1][0] == temperature
        assert answer.settled == (attempt >= 5)
    assert len(calls) == 5, "one attempt each"
