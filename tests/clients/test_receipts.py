"""What is shown of what a server says, again or of another session: each thing once, counted as one stream."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.receipts import FORGOTTEN, Receipts
from model.types import SAMPLE_RATE
from streamer.protocols import messages


@given(st.lists(st.integers(0, 8), max_size=20))
def test_whatever_is_told_again_every_commit_is_shown_once_and_in_order(returns):
    told = [messages.Commit(n, 1, f"w{n}", n, n + 0.5) for n in range(1, 30)]
    receipts, shown = Receipts(SAMPLE_RATE), []
    at = 0
    for back in [*returns, 0]:
        end = min(len(told), at + 3) if back else len(told)
        shown += itertools.chain(*map(receipts.take, told[max(0, at - back) : end]))
        at = end
    assert shown == told
    assert receipts.covered == round(29.5 * SAMPLE_RATE)


def test_a_frame_that_a_text_ends_in_is_not_covered_and_is_sent_again():
    receipts = Receipts(44_100)
    receipts.take(messages.Commit(1, 1, "w1", 0.0, 16_001 / SAMPLE_RATE))  # 44,102.76 frames
    assert receipts.covered == 44_102


def test_another_session_counts_on_from_the_one_before():
    receipts = Receipts(8_000)
    receipts.take(messages.Commit(1, 1, "a", 1.0, 2.0))
    receipts.take(messages.Final(1, "a", 1.0, 2.5, "en"))
    assert receipts.covered == 16_000
    assert receipts.lost(16_000, 24_000, "away") == messages.Gap(2.0, 3.0, "away")
    assert receipts.covered == 24_000
    receipts.begin_anew(24_000)
    word = messages.Word("b", 0.5, 1.0, 0.9)
    [fresh] = receipts.take(messages.Commit(1, 1, "b", 0.5, 1.0, [word]))
    assert fresh == messages.Commit(2, 2, "b", 3.5, 4.0, [messages.Word("b", 3.5, 4.0, 0.9)])
    assert receipts.have == 1
    assert receipts.take(messages.Ack(16_000, 12_000)) == []
    assert receipts.covered == 36_000
    assert receipts.take(messages.Done(2.0, 1)) == [messages.Done(5.0, 2)]


def test_text_that_the_server_does_not_have_any_more_is_a_gap_before_the_commit_that_comes_instead():
    receipts = Receipts(SAMPLE_RATE)
    receipts.take(messages.Commit(1, 1, "a", 1.0, 2.0))
    late = messages.Commit(4, 2, "d", 5.0, 6.0)
    assert receipts.take(late) == [messages.Gap(2.0, 5.0, FORGOTTEN), late]
    assert receipts.take(late) == []
    assert receipts.have == 4
    assert receipts.take(messages.Gap(2.5, 4.5, "a part of it, told late")) == []
    assert receipts.take(next_one := messages.Commit(5, 2, "e", 6.0, 7.0)) == [next_one]
    overlapping = messages.Commit(7, 3, "g", 6.5, 9.5)
    assert receipts.take(overlapping) == [messages.Gap(7.0, 7.0, FORGOTTEN), overlapping]
    receipts.begin_anew(20 * SAMPLE_RATE)
    gap, shown = receipts.take(messages.Commit(2, 1, "i", 1.0, 2.0))
    assert gap == messages.Gap(20.0, 21.0, FORGOTTEN)
    assert shown == messages.Commit(9, 4, "i", 21.0, 22.0)


def test_text_of_which_the_server_itself_says_that_it_is_lost_is_one_gap():
    receipts = Receipts(SAMPLE_RATE)
    receipts.take(messages.Commit(1, 1, "a", 1.0, 2.0))
    told = [
        messages.Gap(2.0, 4.0, "lost"),
        messages.Final(2, "c", 3.0, 4.0, "en"),
        messages.Commit(4, 3, "d", 5.0, 6.0),
    ]
    assert [shown for one in told for shown in receipts.take(one)] == told
    late = messages.Commit(6, 3, "f", 7.0, 8.0)
    assert receipts.take(late) == [messages.Gap(6.0, 7.0, FORGOTTEN), late], "that gap was for others"


def test_text_that_is_lost_before_anything_was_told_is_a_gap_from_the_beginning():
    receipts = Receipts(SAMPLE_RATE)
    assert receipts.covered == 0
    late = messages.Commit(2, 1, "b", 0.5, 0.75)
    assert receipts.take(late) == [messages.Gap(0.0, 0.5, FORGOTTEN), late]
    assert Receipts(SAMPLE_RATE).take(gap := messages.Gap(0.0, 0.5, "the server's own")) == [gap]


def test_a_gap_that_is_told_again_is_shown_once_and_what_it_covers_is_not_sent_again():
    receipts, gap = Receipts(SAMPLE_RATE), messages.Gap(0.5, 1.0, "lost")
    for begun in range(0, 30, 10):
        assert receipts.take(gap) == [messages.Gap(begun + 0.5, begun + 1.0, "lost")]
        assert receipts.take(gap) == []
        assert receipts.covered == (begun + 1) * SAMPLE_RATE
        receipts.lost(receipts.covered, (begun + 10) * SAMPLE_RATE, "away")
        receipts.begin_anew((begun + 10) * SAMPLE_RATE)


@pytest.mark.parametrize("begins", [(10, 20, 30), (0, 0, 0)], ids=["later", "before anything was decided"])
@pytest.mark.parametrize(
    "told",
    [
        messages.SpeechStarted(2, 0.5),
        messages.Commit(1, 2, "a", 0.5, 1.0),
        messages.Final(2, "a", 0.5, 1.0, "en"),
    ],
    ids=lambda told: type(told).__name__,
)
def test_no_utterance_has_the_number_of_one_of_a_session_before(told: messages.ServerMessage, begins: tuple[int, ...]):
    receipts, numbers = Receipts(SAMPLE_RATE), []
    for begun in begins:
        numbers += [shown.utterance for shown in receipts.take(told)]
        receipts.begin_anew(begun * SAMPLE_RATE)
    assert numbers == [2, 4, 6]


def test_the_utterance_that_goes_on_when_a_session_is_lost_ends_with_what_was_told_of_it_once():
    receipts = Receipts(SAMPLE_RATE)
    assert receipts.close_utterance() is None
    receipts.take(messages.Commit(1, 1, "a", 1.0, 2.0))
    assert receipts.take(final := messages.Final(1, "a", 1.0, 2.0, "en")) == [final]
    assert receipts.take(final) == []
    assert receipts.close_utterance() is None, "its final was told"
    receipts.take(messages.Commit(2, 2, "never ended", 2.5, 2.75))
    receipts.take(messages.Commit(3, 3, "b", 3.0, 4.0))
    receipts.take(messages.Commit(4, 3, " c", 4.0, 5.0))
    receipts.take(messages.Commit(5, 3, " d", 5.0, 6.5))
    assert receipts.close_utterance() == messages.Final(3, "b c d", 3.0, 6.5, "")
    assert receipts.close_utterance() is None
    receipts.take(messages.Commit(6, 4, "e", 7.0, 8.0))
    assert receipts.close_utterance() == messages.Final(4, "e", 7.0, 8.0, "")
