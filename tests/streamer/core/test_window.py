"""Rolling audio addressed by absolute sample index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.window import AudioWindow


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 100)), min_size=1, max_size=20))
def test_a_sample_keeps_its_index_however_the_window_moves(steps):
    window, whole = AudioWindow(), np.arange(700_000, dtype=np.float32)
    for added, kept in steps:
        window.append(whole[window.end : window.end + added])
        window.trim(window.start + len(window) * kept // 100)

        assert np.array_equal(window.read(window.start, window.end), whole[window.start : window.end])


def test_storage_stays_bounded_when_audio_is_trimmed():
    window = AudioWindow()
    for _ in range(2000):
        window.append(np.zeros(1600, np.float32))
        window.trim(max(window.start, window.end - 16_000))

    assert window.capacity <= 2 * (16_000 + 1600)


def test_a_backlog_takes_little_more_than_it_is_and_nothing_once_it_is_gone():
    window, second = AudioWindow(), np.zeros(16_000, np.float32)
    for _ in range(90):
        window.append(second)
        assert window.capacity <= 2 * 16_000 + 1.5 * len(window)
    window.trim(window.end - 16_000)
    for _ in range(90):
        window.append(second)
        window.trim(window.end - 16_000)

    assert window.capacity <= 4 * 16_000


def test_what_was_read_does_not_change_later():
    window = AudioWindow()
    window.append(np.ones(10, np.float32))
    read = window.read(0, 10)
    window.trim(10)
    window.append(np.zeros(40_000, np.float32))

    assert read.tolist() == [1.0] * 10


@pytest.mark.parametrize(("start", "end"), [(4, 8), (5, 11), (9, 7)])
def test_samples_that_are_not_held_are_refused(start, end):
    window = AudioWindow()
    window.append(np.zeros(10, np.float32))
    window.trim(5)

    with pytest.raises(IndexError, match=r"the window holds 5\.\.10"):
        window.read(start, end)


def test_trimming_backwards_does_nothing_and_beyond_the_end_is_refused():
    window = AudioWindow()
    window.append(np.zeros(10, np.float32))
    window.trim(5)
    window.trim(2)

    assert (window.start, window.end) == (5, 10)
    with pytest.raises(IndexError, match="cannot trim to 11"):
        window.trim(11)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000), st.integers(0, 100)), min_size=1, max_size=12))
def test_samples_that_never_came_read_as_silence_at_their_place(steps):
    window, whole = AudioWindow(), np.zeros(200_000, dtype=np.float32)
    for added, missing, kept in steps:
        samples = np.arange(window.end + 1, window.end + added + 1, dtype=np.float32)
        whole[window.end : window.end + added] = samples
        window.append(samples)
        window.skip(missing)
        window.trim(window.start + (window.end - window.start) * kept // 100)

        middle = (window.start + window.end) // 2
        assert np.array_equal(window.read(window.start, window.end), whole[window.start : window.end])
        assert np.array_equal(window.read(middle, window.end), whole[middle : window.end])


def test_a_hole_of_days_costs_nothing():
    window = AudioWindow()
    for _ in range(100):
        window.append(np.ones(16_000, np.float32))
        window.skip(3 * 86_400 * 16_000)
        window.trim(window.end - 10)
        window.append(np.ones(16_000, np.float32))
        window.trim(window.end - 16_000)

    assert len(window) == 16_000
    assert window.capacity <= 8 * 16_000


def test_holes_one_after_the_other_take_the_storage_of_one():
    window = AudioWindow()
    for _ in range(100):
        window.skip(1600)

    assert window.capacity == AudioWindow().capacity
    assert not window.read(0, window.end).any()
