from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Hypothesis, Segment, Task, Word
from streamer.core.commands import Configure
from streamer.http import answers
from streamer.http.transcript import GrowingTranscript
from streamer.http.wishes import Granularity, ResponseFormat, Wishes


def word(text: str, at: float) -> Word:
    return Word(text, int(at * SAMPLE_RATE), int((at + 0.5) * SAMPLE_RATE), 0.9, (int(at * 10),))


def heard(*texts: list[str], start: float = 0.0, language: str = "en") -> Hypothesis:
    """Return a hypothesis of segments whose words last a second each."""
    segments, at = [], start
    for part in texts:
        words = tuple(word(text, at + index) for index, text in enumerate(part))
        segments.append(Segment(words[0].start, words[-1].end, words) if words else Segment(0, None, ()))
        at += len(part)
    end = int(at * SAMPLE_RATE)
    return Hypothesis(int(start * SAMPLE_RATE), end, tuple(segments), language, -0.25, 0.125, 1.5, temperature=0.4)


def grown(*hypotheses: Hypothesis) -> GrowingTranscript:
    transcript = GrowingTranscript()
    for hypothesis in hypotheses:
        transcript.add(hypothesis.words, hypothesis)
    return transcript


@given(st.lists(st.lists(st.sampled_from([" a", " b", "c", "字", " ", ""]), min_size=1, max_size=4), max_size=5))
def test_what_it_grows_by_adds_up_to_its_text(utterances):
    transcript = GrowingTranscript()
    pieces = [transcript.add(h.words, h) for h in map(heard, utterances)]

    assert "".join(pieces) == transcript.text
    assert transcript.text == "".join(word.text for word in transcript.words).lstrip()


def test_utterances_are_joined_with_a_space_where_the_script_has_one():
    assert grown(heard(["one"]), heard(["two"]), heard([" three"])).text == "one two three"
    assert grown(heard(["今", "日"]), heard(["は"])).text == "今日は"
    assert grown(heard(["one"]), heard([""]), heard(["two"])).text == "one two"
    assert grown(heard(["今"]), heard(["one", " "]), heard(["日"])).text == "今 one 日"


def test_committed_words_are_divided_as_their_hypothesis_was():
    hypothesis = heard([" a", " b"], [" c", " d"])
    transcript = GrowingTranscript()
    transcript.add(hypothesis.words[:3], hypothesis)

    assert [passage.text for passage in transcript.passages] == [" a b", " c"]
    assert [passage.segment.end for passage in transcript.passages] == [int(1.5 * SAMPLE_RATE), int(2.5 * SAMPLE_RATE)]


@pytest.mark.parametrize(("committed", "end", "told"), [(2, 4.0, 4.0), (2, None, 2.5), (1, 4.0, 1.5)])
def test_a_segment_lasts_as_its_timestamps_say_if_all_of_it_is_committed(committed, end, told):
    words = (word(" a", 1), word(" b", 2))
    segment = Segment(SAMPLE_RATE // 2, None if end is None else int(end * SAMPLE_RATE), words)
    transcript = GrowingTranscript()
    transcript.add(words[:committed], replace(heard([" a", " b"]), segments=(segment,)))

    [passage] = transcript.passages
    assert (passage.segment.start, passage.segment.end) == (SAMPLE_RATE // 2, told * SAMPLE_RATE)


def test_its_language_is_that_of_most_of_the_speech():
    assert grown(heard([" ja"], language="de"), heard([" a", " b"]), heard([" c"], language="de")).language == "en"
    assert grown(heard([" a", " b"]), heard([" ja"], start=30, language="de")).language == "en"
    assert GrowingTranscript().language == ""


def test_verbose_json_says_everything_that_is_known():
    wishes = Wishes(Configure(), ResponseFormat.VERBOSE_JSON, frozenset(Granularity))
    kind, body = answers.body(grown(heard([" one", " two"], start=30)), 33 * SAMPLE_RATE - 1, wishes)

    assert kind == "application/json"
    assert json.loads(body) == {
        "task": "transcribe",
        "language": "english",
        "duration": 33.0,
        "text": "one two",
        "segments": [
            {
                "id": 0,
                "seek": 3000,
                "start": 30.0,
                "end": 31.5,
                "text": " one two",
                "tokens": [300, 310],
                "temperature": 0.4,
                "avg_logprob": -0.25,
                "compression_ratio": 1.5,
                "no_speech_prob": 0.125,
            }
        ],
        "words": [{"word": "one", "start": 30.0, "end": 30.5}, {"word": "two", "start": 31.0, "end": 31.5}],
        "usage": {"type": "duration", "seconds": 33},
    }


def test_a_translation_is_english_whatever_was_heard():
    wishes = Wishes(Configure(task=Task.TRANSLATE), ResponseFormat.VERBOSE_JSON, frozenset({Granularity.WORD}))
    found = json.loads(answers.body(grown(heard([" one"], language="de")), 1, wishes)[1])

    assert (found["task"], found["language"]) == ("translate", "english")
    assert "segments" not in found


@pytest.mark.parametrize(("asked", "told"), [("de", "german"), (None, "")])
def test_where_nothing_was_heard_the_language_is_the_one_that_was_asked_for(asked, told):
    wishes = Wishes(Configure(language=asked), ResponseFormat.VERBOSE_JSON)

    assert json.loads(answers.body(GrowingTranscript(), 1, wishes)[1])["language"] == told


def test_of_seconds_those_that_were_begun_are_counted() -> None:
    lengths = (0, 1, SAMPLE_RATE, SAMPLE_RATE + 1)
    assert [answers.usage(length)["seconds"] for length in lengths] == [0, 1, 1, 2]


def test_silence_is_an_empty_transcript_in_every_format():
    bodies = {kind: answers.body(GrowingTranscript(), 16_000, Wishes(Configure(), kind))[1] for kind in ResponseFormat}

    assert bodies["text"] == "\n"
    assert bodies["srt"] == ""
    assert bodies["vtt"] == "WEBVTT\n"
    assert json.loads(bodies["json"])["text"] == ""
    assert json.loads(bodies["verbose_json"])["segments"] == []


def test_an_event_is_one_line_whatever_was_said():
    event = b'data: {"type":"transcript.text.delta","delta":"a\\nb\\r\\n\xe2\x80\xa8"}\n\n'

    assert answers.delta("a\nb\r\n\u2028") == event
