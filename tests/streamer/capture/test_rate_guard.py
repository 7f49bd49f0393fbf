"""What tells a device from a file in its place."""

from __future__ import annotations

import pytest

from streamer.capture.rate_guard import FASTEST, SPARE_S, RateGuard

RATE = 16_000
BLOCK = 320


def seconds_until_too_fast(speed: float, limit_s: float) -> float | None:
    """Play blocks at a multiple of real time; return after how much time the guard objects."""
    guard, now = RateGuard(RATE, 0.0), 0.0
    while now < limit_s:
        now += BLOCK / RATE / speed
        if not guard.receive(BLOCK, now):
            return now
    return None


@pytest.mark.parametrize("speed", [0.5, 0.999, 1.0, 1.001, 1.04])
def test_a_clock_that_is_a_little_off_is_allowed_for_ever(speed):
    assert seconds_until_too_fast(speed, limit_s=3600) is None


@pytest.mark.parametrize("speed", [1.2, 2.0, 50.0, 10_000.0])
def test_a_source_that_is_faster_is_found_out_when_it_has_used_up_what_is_spare(speed):
    found = seconds_until_too_fast(speed, limit_s=60)

    assert found == pytest.approx(SPARE_S / (speed - FASTEST), rel=0.05, abs=BLOCK / RATE)


def test_what_was_kept_while_this_process_stood_still_may_come_at_once():
    guard = RateGuard(RATE, 0.0)

    assert all(guard.receive(BLOCK, 2.5) for _ in range(round(2.5 * RATE / BLOCK)))
