"""What a row makes of its draft: what holds, what is tried next, when it gives up."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.decoding.rows import MISSES, PROBE, DecodeRow, Row, revise

EOT, S = 100, 200
"""Text below EOT, timestamps from S on."""


def row(draft=(), limit=50, **changes):
    return Row(DecodeRow((1, 2), 1, (), tuple(draft), limit, **changes), 0.0, torch.device("cpu"))


def choices(*tokens):
    return [(token, -0.1) for token in tokens]


def test_what_was_guessed_right_is_kept_and_the_first_other_choice_too():
    one = row([10, 11, 12])
    assert one.receive(choices(10, 11, 13, 99), EOT) == 3
    assert one.out.tokens == [10, 11, 13]
    assert one.out.accepted == 2
    assert one.certain == [13]


@pytest.mark.parametrize(
    ("rest", "token", "said", "expected"),
    [
        ([10, 11, 12, 13], 19, [], [11, 12, 13]),  # another word, and nothing behind it was fed
        ([10, 11, 12, 13], 19, [11, 17, 13, 14], [11, 17, 13, 14]),  # what was chosen behind it is believed
        ([10, 11, 12, 13], 19, [11, 17], [11, 17, 13]),  # as far as it goes
        ([10, 11, 12, 13], 19, [11, EOT, 13, EOT], [11, 12, 13]),  # the end is no guess
        ([10, 11, 12, 13], 11, [11, 17, 13, 14], [17, 13, 14]),  # a word left out
        ([10, 11], 11, [], []),
        ([S, S + 5, 10, S + 20], S + 2, [S + 6, 10, S + 22, S + 30], [S + 6, 10, S + 22, S + 30]),  # a little later
        ([S, S + 5, 10, S + 20], S + 5, [S + 6, 10, S + 22, EOT], [S + 6, 10, S + 22]),  # not the one after it
        ([S, S + 5, 10, S + 20], 10, [S + 6, 10, S + 22, EOT], [S + 22]),  # no end and start between two words
        ([10, S + 20, S + 25, 11], S + 20, [S + 21, S + 26, 11, 12], [S + 26, 11, 12]),  # the end, a word too late
        ([10, S + 20, S + 25], S, [S + 20, S + 25, 11], [S, 10, S + 20, S + 25]),  # an end and a start more
        ([S, S + 5, 10], 11, [S + 6, 10, 12], [S, S + 5, 10]),  # a word more
        ([], 19, [], []),
    ],
)
def test_after_a_difference_the_draft_is_tried_where_it_goes_on_with_what_was_chosen_meanwhile(
    rest, token, said, expected
):
    assert revise(rest, token, said, EOT) == expected


def test_what_would_follow_a_timestamp_that_was_a_little_off_is_the_next_guess():
    one = row([S + 5])
    one.receive(choices(S + 7, 10), EOT)
    assert one.out.tokens == [S + 7]
    assert one.draft == [10]


def test_the_end_of_the_text_is_never_a_guess():
    one = row([S + 5])
    one.receive(choices(S + 7, EOT), EOT)
    assert one.draft == []
    assert not one.done


@given(
    st.lists(st.sampled_from([10, 11, 12, S, S + 1]), max_size=12),
    st.lists(st.sampled_from([10, 11, 12, S, S + 1, EOT]), min_size=1, max_size=40),
)
def test_no_more_guesses_are_right_than_were_made(draft, said):
    one, answers = row(draft, limit=12), iter(said)
    while not one.done:
        one.receive(choices(*[next(answers, EOT) for _ in range(len(one.draft) + 1)]), EOT)
    assert one.out.accepted <= one.out.drafted
    assert one.out.accepted <= len(one.out.tokens) <= 12


@pytest.mark.parametrize(
    ("draft", "said", "drafted"),
    [
        ([10], [10, 11], 1),  # used up: none is left to be revised
        ([10, 11], [20, EOT, EOT], 2),  # what was guessed behind a wrong word stays as it is
        ([10, 11], [20, 21, 22], 3),  # and one is put behind it
        ([10], [20, 21], 2),
        ([10, 11], [S, 21, 22], 4),  # a timestamp is put between, and the wrong guess is guessed again
    ],
)
def test_guesses_that_are_made_on_the_way_are_counted_once(draft, said, drafted):
    one = row(draft)
    one.receive(choices(*said), EOT)
    assert one.out.drafted == drafted


@pytest.mark.parametrize(("size", "stopped"), [(1, 11), (2, 11), (3, 13), (5, 21), (8, 33), (9, None)])
def test_a_phrase_of_up_to_eight_tokens_is_stopped_beyond_four_copies_that_nobody_can_say(size, stopped):
    one = row(limit=100, longest_run=10)
    for i in range(100):
        if not one.done:
            one.receive(choices(10 + i % size), EOT)
    assert one.out.stuck == (stopped is not None)
    assert len(one.out.tokens) == (stopped or 100)


def test_words_that_were_all_wrong_are_heard_in_two_passes_if_the_audio_tells_them_by_itself():
    one = row([10, 11, 12, 13])
    one.receive(choices(20, 21, 22, 23, EOT), EOT)
    assert one.draft == [21, 22, 23]
    one.receive(choices(21, 22, 23, EOT), EOT)
    assert one.out.tokens == [20, 21, 22, 23]
    assert one.out.ended


def test_guesses_that_keep_failing_are_given_up():
    one = row([10, 11, 12, 13, 14, 15])
    for number in range(MISSES):
        assert one.draft
        one.receive(choices(20 + number, *[30] * len(one.draft)), EOT)
    assert one.draft == []


def test_no_guess_goes_beyond_the_limit():
    one = row([10, 11, 12, 13], limit=3)
    one.receive(choices(10, 19, 12, 13, 14), EOT)
    assert one.draft == [12]


def test_after_a_wrong_guess_few_are_fed_and_twice_as_many_as_held_after_that():
    text = list(range(10, 50))
    one = row(text)
    assert one.draft == text  # the first pass takes all
    one.receive(choices(99, *text[1:], EOT), EOT)
    assert one.draft == text[1 : 1 + PROBE]
    one.receive(choices(*text[1 : 2 + PROBE]), EOT)
    assert one.draft == text[2 + PROBE : 2 + 3 * PROBE]
    assert one.out.tokens == [99, *text[1 : 2 + PROBE]]


def test_no_token_of_the_draft_is_lost_between_passes():
    text = list(range(10, 50))
    one = row(text, limit=100)
    one.receive(choices(99, *text[1:], EOT), EOT)
    said = text[1:]
    while said:
        fed = len(one.draft)
        answer, said = said[: fed + 1], said[fed + 1 :]
        one.receive(choices(*answer, *[EOT] * (fed + 1 - len(answer))), EOT)
    assert one.out.tokens[:40] == [99, *text[1:]]
    assert one.out.accepted >= 39 - 5
