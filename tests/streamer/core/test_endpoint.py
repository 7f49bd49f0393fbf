"""Speech onset and offset with hysteresis."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.config import ConfigError, EndpointConfig
from streamer.core.endpoint import Endpointer, Offset, Onset, latest_onset
from streamer.core.vad import FRAME_SAMPLES

CONFIG = EndpointConfig(onset_ms=90, onset_window_ms=240, pre_roll_ms=300, hangover_ms=300)
F = FRAME_SAMPLES


def run(frames: str, endpointer: Endpointer | None = None) -> list[Onset | Offset]:
    """Feed frames written as `#` for speech and `.` for none."""
    endpointer = endpointer or Endpointer(CONFIG)
    changes = [endpointer.receive_frame(1.0 if frame == "#" else 0.0) for frame in frames]
    return [change for change in changes if change is not None]


def test_speech_starts_before_its_first_frame_by_the_pre_roll():
    assert run("." * 20 + "###") == [Onset((20 - 10) * F, 23 * F)]


def test_two_frames_of_speech_are_no_onset():
    assert run("." * 20 + "##" + "." * 20) == []


def test_speech_frames_need_not_be_neighbours():
    assert run("." * 20 + "#..#..#") == [Onset(10 * F, 27 * F)]


def test_speech_ends_after_the_hangover():
    changes = run("####" + "." * 10)

    assert changes == [Onset(0, 3 * F), Offset(14 * F, 4 * F)]


def test_a_pause_shorter_than_the_hangover_ends_nothing():
    assert run("#####" + "." * 9 + "##" + "." * 9) == [Onset(0, 3 * F)]


@pytest.mark.parametrize("hangover", [".#........", "....#.....", "#.#.#....."])
def test_a_lone_speech_frame_does_not_stop_the_hangover(hangover):
    changes = run("####" + "." + hangover + "...")

    assert isinstance(changes[1], Offset)
    assert changes[1].end == 14 * F


@given(st.text(alphabet="#.", min_size=8, max_size=60))
@example("." * 12 + "#.....##")
def test_no_speech_is_told_of_later_than_is_promised(frames):
    endpointer = Endpointer(CONFIG)
    quiet = CONFIG.pre_roll_ms * 16
    for change in run(frames, endpointer):
        if isinstance(change, Onset):
            assert change.detected - (change.start + quiet) <= latest_onset(CONFIG)


def test_an_utterance_never_reaches_back_into_the_one_before():
    changes = run("###" + "." * 10 + "###")

    assert changes[1:] == [Offset(13 * F, 3 * F), Onset(13 * F, 16 * F)]


def test_a_cut_ends_speech_where_it_is_told():
    endpointer = Endpointer(CONFIG)
    run("#####", endpointer)

    assert endpointer.cut(5 * F + 77) == (None, Offset(5 * F + 77, 5 * F))
    assert endpointer.cut(5 * F + 78) == (None, None)
    assert run("###", endpointer) == [Onset(5 * F + 78, 8 * F)]


def test_a_cut_takes_speech_too_short_for_an_onset():
    endpointer = Endpointer(CONFIG)
    run("." * 30 + "#", endpointer)

    onset, offset = endpointer.cut(31 * F)
    assert onset == Onset(20 * F, 31 * F)
    assert offset == Offset(31 * F, 31 * F)


@given(st.text("#.", min_size=1, max_size=400))
def test_utterances_alternate_do_not_overlap_and_never_start_before_the_earliest_onset(frames):
    endpointer, last = Endpointer(CONFIG), 0
    speaking = False
    for frame in frames:
        earliest = endpointer.earliest_onset
        change = endpointer.receive_frame(1.0 if frame == "#" else 0.0)
        if isinstance(change, Onset):
            assert not speaking
            assert change.start >= max(last, earliest - F)
            last, speaking = change.start, True
        if isinstance(change, Offset):
            assert speaking
            assert change.end > last
            assert change.speech_end <= change.end
            last, speaking = change.end, False


@pytest.mark.parametrize("field", ["onset_ms", "hangover_ms", "pre_roll_ms", "vad_aggressiveness"])
def test_a_setting_out_of_range_is_named(field):
    with pytest.raises(ConfigError, match=rf"endpoint\.{field} must be in \[.*\], got -1"):
        EndpointConfig(**{field: -1})
