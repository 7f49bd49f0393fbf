from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoding.guards import Guards
from model.decoding.prompt import PromptBuilder
from model.recognizer import WhisperRecognizer
from model.types import HOP, SAMPLE_RATE, DecodeRequest, Segment, Task
from tests.model.asking import CLOSED, DRAFT, OPEN, STAMP, TOKENIZER, request, same, segment, word
from tests.model.small_whisper import noise, small_checkpoint


@cache
def recognizer() -> WhisperRecognizer:
    """No guard interferes."""
    return unguarded()


def unguarded(*, dynamic: bool = True, **options) -> WhisperRecognizer:
    never = Guards(no_speech=1.1, log_probability=-1e9, compression=1e9, loop_pace=1e9)
    return WhisperRecognizer(small_checkpoint(-1.2), dynamic=dynamic, guards=never, **options)


requests = st.builds(
    request,
    seconds=st.sampled_from([0.02, 0.5, 1.0, 1.31, 2.5, 4.0]),
    start=st.sampled_from([0.0, 0.5, 7.31]),
    seed=st.integers(0, 5),
    prompt=st.sampled_from([(), TOKENIZER.encode(" some words said before")]),
    context=st.sampled_from(["", "Names: Boro, Kita"]),
    language=st.sampled_from(["en", "de", None]),
    task=st.sampled_from(list(Task)),
    final=st.booleans(),
)


def with_text(asked: DecodeRequest, kind: int) -> DecodeRequest:
    """Add committed words and a guess, moved to where the window is."""
    prefix, draft = [((), ()), (OPEN, ()), (CLOSED, DRAFT), (OPEN, DRAFT), ((), DRAFT)][kind]

    def moved(segments):
        return tuple(
            Segment(
                s.start + asked.start,
                None if s.end is None else s.end + asked.start,
                tuple(replace(w, start=w.start + asked.start, end=w.end + asked.start) for w in s.words),
            )
            for s in segments
        )

    return replace(asked, prefix=moved(prefix), draft=moved(draft))


cases = st.builds(with_text, requests, st.integers(0, 4))


def test_an_attempt_is_judged_by_the_guards_that_were_given():
    picky = WhisperRecognizer(small_checkpoint(-1.2), guards=Guards(no_speech=1.1, log_probability=1.0))
    asked = request(0.5, final=True, attempt=0)

    assert [each.transcribe([asked])[0].settled for each in (recognizer(), picky)] == [True, False]


@settings(max_examples=6, deadline=None)
@given(st.lists(cases, min_size=2, max_size=5))
def test_an_answer_does_not_depend_on_the_rest_of_the_batch(batch):
    batch = [replace(asked, stream=str(i)) for i, asked in enumerate(batch)]
    together = unguarded().transcribe(batch)
    for asked, answer in zip(batch, together, strict=True):
        same(answer, unguarded().transcribe([asked])[0])


@settings(max_examples=15, deadline=None)
@given(cases)
def test_words_are_in_order_within_the_audio_and_after_the_prefix(asked):
    (answer,) = recognizer().transcribe([asked])
    now = max([asked.start, *(min(w.end, asked.end) for s in asked.prefix for w in s.words)])
    for heard in answer.words:
        assert now <= heard.start <= heard.end <= asked.end
        assert 0 <= heard.probability <= 1
        now = heard.end
    for found in answer.segments:
        assert found.end is None or found.start <= found.end <= asked.end
    assert all(found.end is not None for found in answer.segments[:-1])


def test_a_draft_changes_the_cost_and_nothing_else():
    plain = request(3.0)
    (first,) = recognizer().transcribe([plain])
    (second,) = recognizer().transcribe([replace(plain, draft=first.segments)])
    same(first, second)
    assert second.statistics.passes < first.statistics.passes
    assert second.statistics.accepted_tokens > 0


def test_a_growing_window_is_answered_as_by_a_recognizer_that_never_saw_it():
    kept = unguarded()
    sound = noise(4.0, 3)
    previous = ()
    for start, end in [(0, 16000), (0, 22400), (0, 35200), (8000, 51200), (8000, 64000)]:
        asked = DecodeRequest("s", start, sound[start:end], draft=previous, language="en")
        (answer,) = kept.transcribe([asked])
        same(answer, unguarded().transcribe([asked])[0])
        previous = answer.segments


def test_words_of_the_prefix_are_forced_and_not_repeated():
    asked = replace(request(3.0), prefix=OPEN)
    builder = PromptBuilder(TOKENIZER)
    row = builder.row(asked, "en")
    assert row.prefix == (STAMP + 5, *TOKENIZER.encode(" ba"), *TOKENIZER.encode(" do"))
    (answer,) = recognizer().transcribe([asked])
    first = answer.segments[0]
    assert first.start == OPEN[0].start, "it continues the open segment"
    changed = replace(OPEN[0], words=(word(" mu", 0.1, 0.4), word(" mu", 0.4, 0.8)))
    (other,) = recognizer().transcribe([replace(asked, prefix=(changed,))])
    assert other.average_log_probability != answer.average_log_probability, "the decoder hears forced words"


def test_an_unknown_language_is_heard():
    asked = [request(2.0, seed=i, language=None) for i in range(4)]
    tested = unguarded(dynamic=False)
    answers = tested.transcribe(asked)
    for one, answer in zip(asked, answers, strict=True):
        assert answer.language in TOKENIZER.languages
        assert 1 / len(TOKENIZER.languages) <= answer.language_probability <= 1
        (told,) = tested.transcribe([replace(one, language=answer.language)])
        same(answer, told)
        assert told.language_probability is None


def test_a_language_is_heard_among_those_that_are_allowed():
    tested = unguarded(dynamic=False)
    batch = [request(2.0, seed=i, language=None) for i in range(6)]
    free = tested.transcribe(batch)
    heard = {answer.language for answer in free}
    allowed = tuple(code for code in TOKENIZER.languages if code not in heard)
    assert len(allowed) >= 2, "some are left that nobody would have chosen"
    answers = tested.transcribe([replace(one, languages=allowed[:2]) for one in batch])
    assert {answer.language for answer in answers} <= set(allowed[:2])
    assert all(0.5 <= answer.language_probability <= 1 for answer in answers), "the likelier of two"
    for one, answer in zip(batch, free, strict=True):
        (again,) = tested.transcribe([replace(one, languages=(answer.language, allowed[0]))])
        assert again.language == answer.language
        assert again.language_probability > answer.language_probability, "one rival is left"


def test_a_single_language_that_is_allowed_needs_no_detection(monkeypatch):
    tested = unguarded(dynamic=False)
    asked = request(1.0, language=None, languages=("de",))
    monkeypatch.setattr(tested._decoder, "detect", None)
    (answer,) = tested.transcribe([asked])
    assert (answer.language, answer.language_probability) == ("de", None)


def test_streams_of_any_language_and_task_share_a_batch():
    tested = unguarded(dynamic=False)
    batch = [
        replace(request(2.0, seed=1), stream=f"{code} {task}", language=code, task=task)
        for code in ("en", "de", "zh", None)
        for task in Task
    ]
    together = tested.transcribe(batch)
    for asked, answer in zip(batch, together, strict=True):
        same(answer, tested.transcribe([asked])[0])
    rows = [PromptBuilder(TOKENIZER).row(asked, asked.language or "en") for asked in batch]
    assert rows[0].head != rows[1].head != rows[3].head
    assert len({answer.average_log_probability for answer in together}) >= 6, "each hears another start"


@pytest.mark.parametrize("samples", [0, 1, HOP - 1])
def test_less_than_a_frame_of_audio_is_silence(samples):
    tiny = replace(request(), audio=np.zeros(samples, dtype=np.float32), final=True)
    full = request(1.0)
    answers = recognizer().transcribe([tiny, full])
    assert answers[0].segments == ()
    assert (answers[0].start, answers[0].end, answers[0].final) == (0, samples, True)
    same(answers[1], recognizer().transcribe([full])[0])


def test_a_frame_of_audio_is_decoded():
    (answer,) = recognizer().transcribe([request(HOP / SAMPLE_RATE)])
    assert answer.statistics.passes > 0


@pytest.mark.parametrize(
    ("language", "languages", "told"), [("ru", (), "ru"), (None, ("de", "es"), "de"), (None, (), "en")]
)
def test_silence_is_in_a_language_that_was_asked_for(language, languages, told):
    tiny = replace(request(), audio=np.zeros(0, dtype=np.float32), language=language, languages=languages)
    assert recognizer().transcribe([tiny])[0].language == told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio": np.full(8000, np.nan, dtype=np.float32)}, "finite"),
        ({"audio": np.full(8000, np.inf, dtype=np.float32)}, "finite"),
        ({"audio": np.zeros(480_001, dtype=np.float32)}, "at most 480000 samples"),
        ({"audio": np.zeros((2, 800), dtype=np.float32)}, "got \\(2, 800\\)"),
        ({"audio": np.zeros(800)}, "float64"),
        ({"start": 100}, "multiple of 160"),
        ({"start": -160}, "not negative"),
        ({"language": "xx"}, "'xx'"),
        ({"languages": ("en", "xx")}, "languages must be some of en, zh, de, es, ru, got 'xx'"),
        ({"earlier": (8000, 8000)}, "earlier ends must rise from 0 to 32000, got \\(8000, 8000\\)"),
        ({"earlier": (32_001,)}, "earlier ends must rise from 0 to 32000, got \\(32001,\\)"),
        ({"earlier": (0,)}, "earlier ends must rise"),
        ({"start": 1600, "earlier": (1600,)}, "earlier ends must rise from 1600 to 33600"),
        ({"attempt": -1}, "attempt must be None or not negative, got -1"),
        ({"prefix": (segment(0, None, *[word(" ba", 0, 1)] * 500),)}, "prefix must take at most"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        recognizer().transcribe([replace(request(), **changes)])


def test_features_are_kept_for_so_many_streams_only():
    few = unguarded(max_streams=2)
    for i in range(5):
        few.transcribe([request(0.5, seed=i)])
    assert list(few._encoder._features._streams) == ["s3", "s4"]
    few.forget("s4")
    few.forget("never seen")
    assert list(few._encoder._features._streams) == ["s3"]


def test_the_full_context_is_thirty_seconds():
    (answer,) = WhisperRecognizer(small_checkpoint()).transcribe([request(1.0)])
    assert answer.statistics.encoder_positions == 1500


def test_the_card_says_what_is_loaded():
    card = recognizer().card
    assert (card.name, card.device, card.precision, card.encoder_context) == ("small", "cpu", "float32", "dynamic")
    assert card.languages == tuple(TOKENIZER.languages)


@pytest.mark.parametrize("named", [["en"], []])
def test_a_model_whose_card_names_its_languages_takes_and_hears_no_others(named):
    """One that names none has no token for any: it knows English."""
    checkpoint = small_checkpoint()
    config = replace(checkpoint.config, extra={"streamer": {"languages": named}})
    english = WhisperRecognizer(replace(checkpoint, config=config))
    assert english.card.languages == ("en",)
    assert english.transcribe([request(language=None)])[0].language == "en"
    with pytest.raises(ValueError, match="language must be one of en, got 'de'"):
        english.transcribe([request(language="de")])
    with pytest.raises(ValueError, match="languages must be some of en, got 'de'"):
        english.transcribe([request(language=None, languages=("en", "de"))])
    assert english.card.tasks == (Task.TRANSCRIBE,)
    with pytest.raises(ValueError, match="task must be one of transcribe, got 'translate'"):
        english.transcribe([request(task=Task.TRANSLATE)])


@pytest.mark.parametrize(("dynamic", "passes"), [(False, 40), (True, 16 + 40)])
def test_a_text_that_would_never_end_is_cut_by_the_length_of_the_audio(monkeypatch, dynamic, passes):
    """Earlier where the encoder was shown less than 30 s; then it gets them, and the room that any text needs."""
    endless = unguarded(dynamic=dynamic, drafts=False)
    monkeypatch.setattr(endless._decoder._rules, "_never", torch.tensor([TOKENIZER.eot, TOKENIZER.notimestamps]))
    monkeypatch.setattr("model.decoding.prompt.repetition_limit", lambda request, language: 10**6)
    (answer,) = endless.transcribe([request(1.0)])
    assert (answer.statistics.tokens, answer.statistics.encoder_positions) == (40, 1500)
    assert answer.statistics.passes == passes
