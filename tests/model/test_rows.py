"""What a row makes of its draft: what holds, what is tried next, when it gives up."""

import torch

from model.rows import MISSES, PROBE, DecodeRow, Row

EOT, STAMP = 100, 200
"""Text below EOT, timestamps from STAMP on."""


def row(draft=(), limit=50):
    return Row(DecodeRow((1, 2), 1, (), tuple(draft), limit), 0.0, torch.device("cpu"))


def choices(*tokens):
    return [(token, -0.1) for token in tokens]


def test_what_was_guessed_right_is_kept_and_the_first_other_choice_too():
    one = row([10, 11, 12])
    assert one.receive(choices(10, 11, 13, 99), EOT) == 3
    assert one.out.tokens == [10, 11, 13]
    assert one.out.accepted == 2
    assert one.certain == [13]


def test_after_a_difference_the_rest_of_the_draft_is_tried_where_it_goes_on():
    left_out, changed = row([10, 11, 12, 13]), row([10, 11, 12, 13])
    left_out.receive(choices(10, 12, 0, 0, 0), EOT)
    changed.receive(choices(10, 19, 0, 0, 0), EOT)
    assert left_out.draft == [13]
    assert changed.draft == [12, 13]


def test_what_would_follow_a_timestamp_that_was_a_little_off_is_the_next_guess():
    one = row([STAMP + 5])
    one.receive(choices(STAMP + 7, 10), EOT)
    assert one.out.tokens == [STAMP + 7]
    assert one.draft == [10]


def test_the_end_of_the_text_is_never_a_guess():
    one = row([STAMP + 5])
    one.receive(choices(STAMP + 7, EOT), EOT)
    assert one.draft == []
    assert not one.done


def test_the_choice_after_another_word_is_no_guess():
    one = row([10])
    one.receive(choices(11, 12), EOT)
    assert one.draft == []


def test_guesses_that_keep_failing_are_given_up():
    one = row([10, 11, 12, 13, 14, 15])
    for number in range(MISSES):
        assert one.draft
        one.receive(choices(20 + number, *[30] * len(one.draft)), EOT)
    assert one.draft == []


def test_no_guess_goes_beyond_the_limit():
    one = row([10, 11, 12, 13], limit=3)
    one.receive(choices(10, 19, 0, 0), EOT)
    assert one.draft == [12]


def test_after_a_wrong_guess_few_are_fed_and_twice_as_many_as_held_after_that():
    text = list(range(10, 50))
    one = row(text)
    assert one.draft == text  # the first pass takes all
    one.receive(choices(99, *[0] * len(text)), EOT)
    assert one.draft == text[1 : 1 + PROBE]
    one.receive(choices(*text[1 : 2 + PROBE]), EOT)
    assert one.draft == text[2 + PROBE : 2 + 3 * PROBE]
    assert one.out.tokens == [99, *text[1 : 2 + PROBE]]


def test_no_token_of_the_draft_is_lost_between_passes():
    text = list(range(10, 50))
    one = row(text, limit=100)
    one.receive(choices(99, *[0] * len(text)), EOT)
    said = text[1:]
    while said:
        fed = len(one.draft)
        answer, said = said[: fed + 1], said[fed + 1 :]
        one.receive(choices(*answer, *[EOT] * (fed + 1 - len(answer))), EOT)
    assert one.out.tokens[:40] == [99, *text[1:]]
    assert one.out.accepted >= 39 - 5
