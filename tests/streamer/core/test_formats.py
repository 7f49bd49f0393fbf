from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from model.types import SAMPLE_RATE, Segment, Word
from streamer.core.cues import LINE_CELLS, LONGEST_MS, SHORTEST_MS, Cue, cues
from streamer.core.formats import Transcript, TranscriptFormat, render

MILLISECOND = SAMPLE_RATE // 1000


def word(text: str, start_ms: int, end_ms: int, probability: float = 0.9) -> Word:
    return Word(text, start_ms * MILLISECOND, end_ms * MILLISECOND, probability)


def spoken(text: str, start_ms: int = 0, each_ms: int = 300) -> list[Word]:
    """Return the words of a text, one after the other."""
    words = [f" {part}" for part in text.split()]
    return [word(part, start_ms + each_ms * i, start_ms + each_ms * (i + 1)) for i, part in enumerate(words)]


def transcript(*segments: list[Word], language: str = "en") -> Transcript:
    made = [Segment(words[0].start, words[-1].end, tuple(words)) for words in segments]
    return Transcript(tuple(made), language, duration=3 * SAMPLE_RATE)


def lines_of(found: list[Cue]) -> list[tuple[str, ...]]:
    return [cue.lines for cue in found]


def test_text_has_a_line_for_each_segment():
    assert render(transcript(spoken("one two"), spoken("three", 1000)), TranscriptFormat.TEXT) == "one two\nthree\n"


def test_a_transcript_without_words_is_an_empty_text():
    assert render(Transcript((), "en", 0), TranscriptFormat.TEXT) == ""
    assert render(Transcript((), "en", 0), TranscriptFormat.SRT) == ""
    assert render(Transcript((), "en", 0), TranscriptFormat.VTT) == "WEBVTT\n"


def test_json_holds_segments_and_words_with_times_in_seconds():
    found = json.loads(render(transcript(spoken("eins zwei"), language="de"), TranscriptFormat.JSON))

    assert found["language"] == "de"
    assert found["duration"] == 3.0
    assert found["text"] == "eins zwei"
    assert found["segments"][0]["text"] == "eins zwei"
    assert found["segments"][0]["words"][1] == {"text": " zwei", "start": 0.3, "end": 0.6, "probability": 0.9}


def test_json_keeps_every_script_readable():
    assert "日本語" in render(transcript([word("日本語", 0, 500)]), TranscriptFormat.JSON)


def test_srt_numbers_its_cues_and_writes_times_with_commas():
    found = render(transcript(spoken("one two"), spoken("three", 3_723_004)), TranscriptFormat.SRT)

    assert found == ("1\n00:00:00,000 --> 00:00:00,833\none two\n\n2\n01:02:03,004 --> 01:02:03,837\nthree\n\n")


def test_vtt_begins_with_its_name_and_writes_times_with_points():
    found = render(transcript(spoken("one two", 1000)), TranscriptFormat.VTT)

    assert found == "WEBVTT\n\n00:00:01.000 --> 00:00:01.833\none two\n"


def test_vtt_escapes_what_would_be_markup():
    found = render(transcript([word(" <b>&", 0, 300), word(" -->", 300, 600)]), TranscriptFormat.VTT)

    assert "&lt;b&gt;&amp; --&gt;" in found


def test_srt_never_holds_an_arrow_in_its_text():
    found = render(transcript([word(" a", 0, 300), word(" -->", 300, 600)]), TranscriptFormat.SRT)

    assert found.count("-->") == 1
    assert "a -- >" in found


def test_a_line_break_in_a_word_does_not_end_its_cue():
    assert lines_of(list(cues([word(" one\n\ntwo\r", 0, 600), word("\x00three", 600, 900)]))) == [("one two three",)]


def test_a_long_sentence_is_laid_out_on_two_lines_of_about_one_length():
    found = list(cues(spoken("ask not what your country can do for you ask what you", each_ms=100)))

    assert lines_of(found) == [("ask not what your country", "can do for you ask what you")]


def test_a_pause_starts_a_new_cue():
    assert lines_of(list(cues([*spoken("one"), *spoken("two", 1300)]))) == [("one",), ("two",)]


def test_a_sentence_that_was_long_enough_ends_its_cue():
    assert lines_of(list(cues(spoken("one two three. four")))) == [("one two three.",), ("four",)]


def test_short_answers_share_a_cue():
    assert lines_of(list(cues(spoken("Yes. No. Why?", each_ms=200)))) == [("Yes. No. Why?",)]


def test_nothing_is_shown_for_longer_than_seven_seconds():
    found = list(cues(spoken("slow " * 20, each_ms=1500)))

    assert max(cue.end_ms - cue.start_ms for cue in found) <= LONGEST_MS


def test_a_short_cue_stays_long_enough_to_be_read_unless_the_next_one_comes():
    alone, pressed, _ = cues([word(" a", 0, 100), word(" b", 2000, 2100), *spoken("c " * 5, 3100, 1380)])

    assert alone.end_ms == SHORTEST_MS
    assert pressed.end_ms == 2000 + SHORTEST_MS


def test_text_without_spaces_is_cut_at_the_width_of_a_line():
    found = list(cues([word("語" * 50, 0, 5000)]))

    assert "".join("".join(cue.lines) for cue in found) == "語" * 50
    assert all(cell_len(line) <= LINE_CELLS for cue in found for line in cue.lines)


texts = st.text(st.sampled_from("ab語é .!?<>&-\n"), min_size=1, max_size=60)
spans = st.tuples(st.integers(0, 60_000), st.integers(-500, 3_000))
heard = st.lists(st.tuples(texts, spans), max_size=40)


@settings(deadline=None)  # a busy machine is no fault
@given(heard)
def test_cues_are_in_order_never_overlap_and_lose_no_character(items):
    words = [word(f" {text}", start, start + length) for text, (start, length) in items]

    found = list(cues(words))

    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(earlier.end_ms <= later.start_ms for earlier, later in pairwise(found))
    assert all(1 <= len(cue.lines) <= 2 and all(cell_len(line) <= LINE_CELLS for line in cue.lines) for cue in found)
    assert all(line.strip() and line.isprintable() for cue in found for line in cue.lines)
    written = "".join("".join(cue.lines) for cue in found)
    assert re.sub(r"\s", "", written) == re.sub(r"\s", "", "".join(text for text, _ in items))


@settings(deadline=None)  # a busy machine is no fault
@given(heard)
def test_subtitles_can_be_read_back(items):
    made = transcript(*[[word(f" {text}", start, start + abs(length))] for text, (start, length) in items])

    blocks = render(made, TranscriptFormat.SRT).strip().split("\n\n")
    cue_blocks = render(made, TranscriptFormat.VTT).removeprefix("WEBVTT\n").strip().split("\n\n")

    for number, block in enumerate(block for block in blocks if block):
        assert re.fullmatch(rf"{number + 1}\n\d\d:\d\d:\d\d,\d{{3}} --> \d\d:\d\d:\d\d,\d{{3}}(\n[^\n]+){{1,2}}", block)
    for block in (block for block in cue_blocks if block):
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}(\n[^\n<>]+){1,2}", block)


@pytest.mark.parametrize("style", list(TranscriptFormat))
def test_every_format_is_written(style):
    assert "one" in render(transcript(spoken("one")), style)
