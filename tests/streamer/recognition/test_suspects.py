"""Whose request takes the device down."""

from __future__ import annotations

from streamer.recognition.health import TRIAL
from streamer.recognition.suspects import MOST_CONVICTIONS, MOST_LOST, Suspects


def convict(suspects: Suspects, stream: str) -> None:
    while not suspects.accuse([stream]):
        pass


def test_nobody_is_suspected_at_first():
    assert Suspects().divide(["a", "b", "c"]) == [[0, 1, 2]]


def test_after_a_loss_each_row_is_alone_and_the_rest_go_together_before_them():
    suspects = Suspects()
    suspects.accuse(["a", "c"])

    assert suspects.divide(["a", "b", "c", "d"]) == [[1, 3], [0], [2]]


def test_who_was_on_fewer_lost_devices_goes_first():
    suspects = Suspects()
    suspects.accuse(["a", "b"])
    suspects.accuse(["a", "c"])

    assert suspects.divide(["a", "b", "c"]) == [[1], [2], [0]]


def test_an_answer_acquits():
    suspects = Suspects()
    suspects.accuse(["a", "b"])
    suspects.accuse(["a"])
    suspects.acquit(["a", "b"])

    assert suspects.divide(["a", "b"]) == [[0, 1]]
    assert not suspects.accuse(["a"]), "the count begins anew"


def test_a_request_is_given_up_when_it_was_alone_on_lost_devices_often_enough():
    suspects = Suspects()

    assert not suspects.accuse(["a", "b"])
    assert [suspects.accuse(["a"]) for _ in range(MOST_LOST)] == [False] * (MOST_LOST - 1) + [True]


def test_a_stream_that_cost_its_session_audio_stays_alone_and_has_one_device_to_lose():
    suspects = Suspects()
    for _ in range(2):  # the session asks twice
        convict(suspects, "a")
    suspects.acquit(["a"])

    assert suspects.divide(["a", "b"]) == [[1], [0]]
    assert suspects.accuse(["a"])


def test_a_stream_that_goes_on_losing_devices_is_not_tried_any_more():
    suspects = Suspects()
    for _ in range(MOST_CONVICTIONS):
        assert not suspects.is_shunned("a")
        convict(suspects, "a")

    assert suspects.is_shunned("a")


def test_when_silence_loses_the_device_nobody_was_guilty_of_it_before():
    suspects = Suspects()
    for _ in range(MOST_CONVICTIONS):
        convict(suspects, "a")
    suspects.accuse(["b"])
    convict(suspects, TRIAL)

    assert not suspects.is_shunned("a")
    assert suspects.divide(["a", "b", TRIAL]) == [[0, 1, 2]]


def test_nothing_is_kept_of_a_stream_that_has_ended():
    suspects = Suspects()
    for _ in range(MOST_CONVICTIONS):
        convict(suspects, "a")
    suspects.forget("a")

    assert suspects.divide(["a", "b"]) == [[0, 1]]
    assert not suspects.is_shunned("a")
