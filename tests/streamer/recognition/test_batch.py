"""How large a batch may be."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from model.types import SAMPLE_RATE, DecodeRequest
from streamer.recognition.batch import FEWEST_ROWS, SLOW_SHARE, BatchBound
from streamer.recognition.lanes import Lane


def requests(count: int, seconds: float = 8.0) -> list[DecodeRequest]:
    return [DecodeRequest("s", 0, np.zeros(round(seconds * SAMPLE_RATE), np.float32)) for _ in range(count)]


def largest(bound: BatchBound, seconds: float, lane: Lane = Lane.FAST, length: float = 8.0) -> int:
    """Fill a batch as the engine does."""
    return next(count for count in range(1, 1000) if bound.reached(requests(count, length), seconds, lane))


def test_before_anything_is_known_only_the_number_of_rows_bounds_a_batch():
    assert largest(BatchBound(32), 0.001) == 32


def test_a_batch_is_no_larger_than_fits_into_its_time():
    bound = BatchBound(1000)
    bound.learn(requests(10), 0.5)

    assert largest(bound, 0.5) == 10
    assert largest(bound, 1.0) == 20
    assert largest(bound, 0.5, length=3.0) == 20, "short windows cost less"


def test_on_the_slowest_device_a_few_rows_go_together():
    bound = BatchBound(32)
    bound.learn(requests(1), 60.0)

    assert largest(bound, 0.2) == FEWEST_ROWS


def test_the_number_of_rows_is_never_exceeded():
    bound = BatchBound(8)
    bound.learn(requests(1), 1e-6)

    assert largest(bound, inf) == 8


@pytest.mark.parametrize("most", [1, 2, 32])
def test_a_batch_of_the_slow_lane_is_a_fraction_of_one_of_the_fast_lane(most):
    bound = BatchBound(most)

    assert largest(bound, inf, Lane.SLOW) == max(most // SLOW_SHARE, 1)


def test_what_is_known_follows_the_device():
    bound = BatchBound(1000)
    bound.learn(requests(10), 5.0)
    for _ in range(30):
        bound.learn(requests(10), 0.5)

    assert largest(bound, 0.5) == 10
