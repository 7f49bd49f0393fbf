from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from model.types import SAMPLE_RATE, Word
from streamer.core.cues import LINE_CELLS, LONGEST_MS, SHORTEST_MS, Cue, CueBuilder, cues

MILLISECOND = SAMPLE_RATE // 1000


def spoken(text: str, each_ms: int = 250, start_ms: int = 0, gaps: dict[str, int] | None = None) -> list[Word]:
    """Return the words of a text, one after the other; `gaps` in ms after some of them."""
    words = []
    for part in text.split():
        end_ms = start_ms + each_ms
        words.append(Word(f" {part}", start_ms * MILLISECOND, end_ms * MILLISECOND, 0.9))
        start_ms = end_ms + (gaps or {}).get(part, 0)
    return words


def told(words: Sequence[Word], sizes: Sequence[int]) -> list[Cue]:
    """Return the cues of words that come in portions of these sizes, over and over."""
    builder = CueBuilder()
    made, at, turn = [], 0, 0
    while at < len(words):
        size = sizes[turn % len(sizes)]
        made += builder.add(words[at : at + size])
        at, turn = at + size, turn + 1
    return made + builder.finish()


def timed(items: list[tuple[str, int, int]]) -> list[Word]:
    """Return words by their text, the silence before them and their length, in ms."""
    words, at = [], 0
    for text, silence, length in items:
        at += silence
        words.append(Word(f" {text}", at * MILLISECOND, (at + length) * MILLISECOND, 0.9))
        at += length
    return words


TEXTS = st.sampled_from(["a", "of", "word", "longer", "unbelievable", "yes.", "and,", "why?", "incomprehensibilities"])
SPEECH = st.lists(
    st.tuples(TEXTS, st.sampled_from([0, 0, 0, 100, 300, 700, 1_500]), st.sampled_from([50, 200, 400, 1_200])),
    max_size=60,
).map(timed)
quickly = settings(max_examples=50)


@quickly
@given(SPEECH, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_cues_do_not_depend_on_the_portions_that_words_come_in(words, sizes):
    assert told(words, sizes) == list(cues(words))


@quickly
@given(SPEECH, st.data())
def test_what_was_told_stays_so_whatever_follows(words, data):
    cut = data.draw(st.integers(0, len(words)))
    early = CueBuilder().add(words[:cut])

    assert list(cues(words))[: len(early)] == early


@quickly
@given(SPEECH)
def test_cues_fit_on_the_screen_do_not_overlap_and_hold_every_word(words):
    made = list(cues(words))

    assert all(earlier.end_ms <= later.start_ms for earlier, later in pairwise(made))
    assert all(cue.start_ms < cue.end_ms for cue in made)
    assert all(len(cue.lines) <= 2 and max(map(cell_len, cue.lines)) <= LINE_CELLS for cue in made)
    assert " ".join(" ".join(cue.lines) for cue in made) == "".join(word.text for word in words).strip()
    assert all(cue.end_ms - cue.start_ms <= LONGEST_MS for cue in made)


def test_nothing_is_told_while_the_next_word_might_still_join_it():
    builder = CueBuilder()

    assert builder.add(spoken("a few words")) == []
    assert [cue.lines for cue in builder.finish()] == [("a few words",)]
    assert builder.finish() == []


def test_a_cue_is_told_as_soon_as_the_next_one_begins():
    builder = CueBuilder()
    builder.add(spoken("a sentence of six words here."))

    assert [cue.lines for cue in builder.add(spoken("next", start_ms=1500))] == [("a sentence of six words here.",)]


def test_words_that_follow_a_finished_cue_begin_after_its_end():
    builder = CueBuilder()
    builder.add(spoken("yes", each_ms=200))
    first = builder.finish()
    builder.add(spoken("no", each_ms=200, start_ms=500))
    second = builder.finish()

    assert first[0].end_ms == SHORTEST_MS
    assert second[0].start_ms == SHORTEST_MS


def test_a_full_cue_ends_where_its_last_clause_does():
    text = "when the rain had stopped at last we went outside again, and there we saw that everything was gone"

    assert [" ".join(cue.lines) for cue in cues(spoken(text))] == [
        "when the rain had stopped at last we went outside again,",
        "and there we saw that everything was gone",
    ]


def test_a_full_cue_without_punctuation_ends_where_the_speaker_paused():
    text = "when the rain had stopped at last we went outside again and there we saw that everything was gone"

    found = [" ".join(cue.lines) for cue in cues(spoken(text, gaps={"again": 300}))]

    assert found[0] == "when the rain had stopped at last we went outside again"


def test_a_clause_that_is_too_short_to_be_read_does_not_end_a_cue():
    text = "Well, when the rain had stopped at last we went outside once more and there we saw that all of it was gone"

    assert next(iter(cues(spoken(text)))).lines[0].startswith("Well, when the rain")


def test_a_line_ends_with_a_clause_if_the_other_one_still_fits():
    text = "the first clause is here, and the second one is longer than it"

    assert [cue.lines for cue in cues(spoken(text, each_ms=150))] == [
        ("the first clause is here,", "and the second one is longer than it")
    ]


def test_text_without_spaces_is_shown_in_full_lines_while_it_is_spoken():
    line = "\u4e00" * (LINE_CELLS // 2)

    assert list(cues([Word(line * 3, 0, 9 * SAMPLE_RATE, 0.9)])) == [
        Cue(0, 6000, (line, line)),
        Cue(6000, 9000, (line,)),
    ]


def test_what_joins_and_parts_letters_is_no_space_and_what_breaks_lines_is_one():
    words = spoken("می\u200cخواهم کتاب\u200cها \U0001f468\u200d\U0001f469\u200d\U0001f467 a\x00b c\u2028d")

    [cue] = told(words, [1])
    assert " ".join(cue.lines).split() == [
        "می\u200cخواهم", "کتاب\u200cها", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "a", "b", "c", "d"
    ]  # fmt: skip
