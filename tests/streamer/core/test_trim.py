"""Where a long window may be cut."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, WINDOW_SAMPLES, Segment, Word
from streamer.core.trim import LEAD, LEAST_TRIM, PAUSE_SEARCH, UNSETTLED, Span, words_to_settle

SECOND = SAMPLE_RATE


def word(start: float, end: float) -> Word:
    return Word(" w", round(start * SECOND), round(end * SECOND), 0.9, (1,))


def test_a_cut_lies_between_two_words():
    span = Span(0, 30 * SECOND, (word(1, 2), word(2.4, 3)), ())

    cut = span.cut(1)
    assert (cut.index, cut.place, cut.pause) == (1, round(2.2 * SECOND), round(0.4 * SECOND))


def test_a_long_pause_leaves_half_a_second_before_the_next_word():
    span = Span(0, 30 * SECOND, (word(1, 2), word(8, 9)), ())

    assert span.cut(1).place == round(7.5 * SECOND)


def test_after_the_last_word_of_a_window_the_end_is_heard_again():
    span = Span(0, 30 * SECOND, (word(1, 2),), ())

    assert span.cut(1).place == 30 * SECOND - UNSETTLED - LEAD


def test_the_tail_is_not_cut_away():
    span = Span(0, 30 * SECOND, (word(1, 2),), (word(2.5, 3),))

    assert span.cut(1).place == round(2.25 * SECOND)


def test_a_roomy_cut_keeps_the_left_context_and_prefers_a_pause():
    words = (word(0, 1), word(1, 2), word(3, 4), word(4, 5), word(5, 6), word(10, 11))
    cut = Span(0, 12 * SECOND, words, ()).roomy_cut(5 * SECOND)

    assert cut is not None
    assert cut.place <= 6 * SECOND
    assert cut.index == 2, "the pause of a second lies before the third word, within reach of the target"


def test_a_longer_pause_far_before_the_target_does_not_keep_the_window_long():
    words = (word(0, 1), word(3, 4), *(word(n, n + 1) for n in range(4, 20)))
    cut = Span(0, 20 * SECOND, words, ()).roomy_cut(5 * SECOND)

    assert cut is not None
    assert cut.place >= 15 * SECOND - PAUSE_SEARCH


def test_the_first_word_may_leave_alone():
    cut = Span(0, 12 * SECOND, (word(0, 1), word(8, 11)), ()).roomy_cut(2 * SECOND)

    assert cut is not None
    assert cut.index == 1


def test_without_committed_words_there_is_no_roomy_cut():
    assert Span(0, 30 * SECOND, (), (word(1, 2),)).roomy_cut(0) is None


def test_agreed_words_suffice_where_they_free_enough():
    words = tuple(word(n, n + 0.9) for n in range(29))
    span = Span(0, WINDOW_SAMPLES, (), words)

    assert words_to_settle(span, [Segment(0, None, words)], agreed=12) == 12


def test_complete_segments_are_settled_before_single_words():
    words = tuple(word(n, n + 0.9) for n in range(29))
    bounds = [(0, 7), (7, 14), (14, 29)]
    segments = [Segment(start * SECOND, end * SECOND, words[start:end]) for start, end in bounds]

    assert words_to_settle(Span(0, WINDOW_SAMPLES, (), words), segments, agreed=0) == 14


def test_one_segment_settles_what_ends_well_before_the_audio():
    words = tuple(word(n, n + 0.9) for n in range(30))

    assert words_to_settle(Span(0, WINDOW_SAMPLES, (), words), [Segment(0, None, words)], agreed=0) == 28


def test_a_single_endless_word_is_settled_rather_than_decoded_for_ever():
    words = (word(0, 30),)

    assert words_to_settle(Span(0, WINDOW_SAMPLES, (), words), [Segment(0, None, words)], agreed=0) == 1


times = st.lists(st.integers(0, WINDOW_SAMPLES), min_size=0, max_size=40).map(sorted)


@given(times, st.integers(0, 20), st.integers(0, 20), st.integers(0, WINDOW_SAMPLES))
def test_a_full_window_always_moves_on(edges, committed, agreed, start):
    edges = [start + edge for edge in edges]
    words = tuple(Word(" w", a, b, 0.9, (1,)) for a, b in zip(edges[::2], edges[1::2], strict=False))
    known, tail = words[:committed], words[committed:]
    span = Span(start, start + WINDOW_SAMPLES, known, tail)
    count = words_to_settle(span, [Segment(start, None, tail)], min(agreed, len(tail)))
    after = replace(span, committed=(*known, *tail[:count]), tail=tail[count:])
    cut = after.cut(len(after.committed))

    assert cut.place - start >= min(LEAST_TRIM, WINDOW_SAMPLES - UNSETTLED - LEAD)
    assert count >= min(agreed, len(tail))
    if tail[count:]:
        assert cut.place <= max(
            tail[count].start, known[-1].end if known else 0, *(w.end for w in tail[:count] or (tail[count],))
        )
