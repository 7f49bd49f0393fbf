"""The streaming frontend against the whole-window features."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio.log_mel import IncrementalLogMel
from model.features import WhisperFeatureExtractor

FULL = WhisperFeatureExtractor()
RNG = np.random.default_rng(5)
STREAM = (
    RNG.normal(0, 0.1, 100 * 16000) * np.repeat(RNG.uniform(0, 1, 1000) ** 3, 1600) + np.sin(np.arange(1_600_000) / 9)
).astype(np.float32)
STREAM[300_000:420_000] = 0  # silence that is real audio


def whole(audio, frames):
    """What the reference extractor gives for the window, padded to `frames`."""
    return FULL(audio, max_length=frames * 160, return_tensors="pt").input_features[0]


def close(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=0, atol=5e-5)


steps = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # samples that arrive
        st.sampled_from([0, 0, 0, 160, 16_000, 100_000]),  # samples trimmed, in hops
        st.sampled_from(["tight", "margin", "full"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(origin=st.integers(0, 3000), steps=steps)
def test_any_chunking_and_trimming_equals_the_whole_window(origin, steps):
    frontend = IncrementalLogMel(80)
    start = end = origin * 160
    for arrived, trimmed, length in steps:
        end = min(end + arrived, len(STREAM))
        start = max(min(start + trimmed, end // 160 * 160), -(-(end - 480_000) // 160) * 160)
        audio = STREAM[start:end]
        needed = max(2, math.ceil(len(audio) / 160))
        frames = {"tight": needed, "margin": min(needed + 50, 3000), "full": 3000}[length]

        close(frontend.window(start, audio, frames), whole(audio, frames))


@pytest.mark.parametrize("n", [0, 1, 199, 200, 201, 319, 320, 359, 360, 361, 399, 400, 520, 560, 561, 1600, 1759])
@pytest.mark.parametrize("spare", [0, 1, 2, 7])
def test_windows_of_any_short_length_are_right(n, spare):
    audio = STREAM[1600 : 1600 + n]
    frames = max(2, math.ceil(n / 160)) + spare

    close(IncrementalLogMel(80).window(1600, audio, frames), whole(audio, frames))


@pytest.mark.parametrize("n_mels", [80, 128])
def test_a_full_window_is_right(n_mels):
    audio = STREAM[:480_000]
    expected = WhisperFeatureExtractor(feature_size=n_mels)(audio, return_tensors="pt").input_features[0]

    close(IncrementalLogMel(n_mels).window(0, audio, 3000), expected)


def test_only_new_frames_and_edges_are_computed():
    frontend = IncrementalLogMel(80)
    frontend.window(0, STREAM[:160_000], 1100)
    before = frontend.computed_frames
    frontend.window(0, STREAM[:168_000], 1100)

    # 50 new frames; two at the start, and those that touch the end.
    assert before <= 1005
    assert frontend.computed_frames - before <= 50 + 2 + 3


def test_the_same_window_again_computes_edges_only():
    frontend = IncrementalLogMel(80)
    frontend.window(0, STREAM[:160_000], 1100)
    before = frontend.computed_frames
    frontend.window(0, STREAM[:160_000], 3000)

    assert frontend.computed_frames - before <= 5


def test_a_trim_computes_edges_only():
    frontend = IncrementalLogMel(80)
    frontend.window(0, STREAM[:480_000], 3000)
    before = frontend.computed_frames
    trimmed = frontend.window(320_000, STREAM[320_000:480_000], 1000)

    assert frontend.computed_frames - before <= 5
    close(trimmed, whole(STREAM[320_000:480_000], 1000))


def test_a_jump_forgets_what_was_kept():
    frontend = IncrementalLogMel(80)
    frontend.window(0, STREAM[:160_000], 1000)
    before = frontend.computed_frames
    close(frontend.window(1_120_000, STREAM[1_120_000:1_280_000], 1000), whole(STREAM[1_120_000:1_280_000], 1000))

    assert frontend.computed_frames - before >= 995


def test_a_window_that_moves_back_is_right():
    frontend = IncrementalLogMel(80)
    frontend.window(800_000, STREAM[800_000:1_280_000], 3000)
    for start, end in [
        (640_000, 1_000_000),
        (880_000, 1_280_000),
        (0, 160_000),
        (480_000, 960_000),
        (480_000, 480_160),
    ]:
        close(frontend.window(start, STREAM[start:end], 3000), whole(STREAM[start:end], 3000))


def test_a_louder_passage_that_was_trimmed_no_longer_sets_the_floor():
    audio = STREAM[:320_000].copy()
    audio[:80_000] *= 100
    frontend = IncrementalLogMel(80)
    frontend.window(0, audio, 2000)

    close(frontend.window(160_000, audio[160_000:], 1000), whole(audio[160_000:], 1000))


def test_a_long_stream_keeps_thirty_seconds():
    frontend = IncrementalLogMel(80)
    sizes = set()
    for end in range(160_000, 1_600_000, 16_000):
        frontend.window(end - 160_000, STREAM[end - 160_000 : end], 1000)
        sizes.add(sum(x.numel() for x in vars(frontend).values() if isinstance(x, torch.Tensor)))

    assert sizes == {80 * 3000 + 80 * 201 + 400}
    assert frontend.computed_frames < 10_000 + 90 * 6


def test_audio_is_not_written_to():
    audio = STREAM[:16_000].copy()
    audio.setflags(write=False)

    close(IncrementalLogMel(80).window(0, audio, 150), whole(STREAM[:16_000], 150))


@pytest.mark.parametrize(
    ("start", "audio", "frames", "message"),
    [
        (1, np.zeros(160, np.float32), 10, "start must be a multiple of 160 and not negative, got 1"),
        (-160, np.zeros(160, np.float32), 10, "start must be a multiple of 160"),
        (0, np.zeros(160, np.float32), 1, "frames must be in 2..3000, got 1"),
        (0, np.zeros(160, np.float32), 3001, "frames must be in 2..3000, got 3001"),
        (0, np.zeros(1601, np.float32), 10, "audio must fit 10 frames"),
        (0, np.zeros(160, np.float64), 10, "audio must be float32"),
        (0, np.zeros((1, 160), np.float32), 10, "audio must be float32"),
    ],
)
def test_a_window_that_cannot_be_is_refused(start, audio, frames, message):
    with pytest.raises(ValueError, match=message):
        IncrementalLogMel(80).window(start, audio, frames)
