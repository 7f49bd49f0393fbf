from __future__ import annotations

import random
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Samples
from streamer.core.audio import ALAW, MULAW, AudioDecoder, AudioError, Encoding, Resampler, SampleDecoder

RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000)


def tone(rate: int, seconds: float, frequency: float = 300.0) -> Samples:
    """A sine that every rate can carry."""
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def decode(decoder: AudioDecoder, data: bytes, cuts: list[int]) -> Samples:
    """Decode `data` cut at the given bytes, and flush."""
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [part for a, b in pairwise(bounds) for part in decoder.decode(data[a:b])]
    return np.concatenate([*parts, decoder.flush()])


def test_s16_full_scale_is_one() -> None:
    samples = SampleDecoder(Encoding.PCM_S16LE, 1).decode(struct.pack("<4h", -32_768, 0, 16_384, 32_767))

    assert samples.tolist() == [-1.0, 0.0, 0.5, 32_767 / 32_768]


def test_f32_is_clipped_to_full_scale() -> None:
    samples = SampleDecoder(Encoding.PCM_F32LE, 1).decode(struct.pack("<4f", -1e38, 0.25, 1.0, 1.5))

    assert samples.tolist() == [-1.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(
    ("table", "code", "linear"),
    [  # ITU-T G.711, tables 1a to 2b, scaled to 16 bits
        (MULAW, 0x00, -32_124),
        (MULAW, 0x80, 32_124),
        (MULAW, 0x7F, 0),
        (MULAW, 0xFF, 0),
        (MULAW, 0xFE, 8),
        (MULAW, 0xEF, 132),
        (ALAW, 0x55, -8),
        (ALAW, 0xD5, 8),
        (ALAW, 0x2A, -32_256),
        (ALAW, 0xAA, 32_256),
        (ALAW, 0x45, -264),
    ],
)
def test_g711_codes_mean_what_the_recommendation_says(table: Samples, code: int, linear: int) -> None:
    assert table[code] * 32_768 == linear


@pytest.mark.parametrize("table", [MULAW, ALAW])
def test_g711_tables_are_odd_and_have_all_their_levels(table: Samples) -> None:
    assert np.array_equal(np.sort(table), np.sort(-table))
    assert len(np.unique(table)) >= 255


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_sample_that_is_no_number_is_an_error_that_names_its_place(bad: float) -> None:
    decoder = SampleDecoder(Encoding.PCM_F32LE, 2)
    decoder.decode(struct.pack("<6f", *[0.0] * 6))

    with pytest.raises(AudioError, match=rf"{bad} at sample 4 of the stream"):
        decoder.decode(struct.pack("<4f", 0, 0, 0, bad))


def test_channels_are_mixed_down_to_their_mean() -> None:
    samples = SampleDecoder(Encoding.PCM_S16LE, 2).decode(struct.pack("<4h", 16_384, 0, -16_384, 16_384))

    assert samples.tolist() == [0.25, 0.0]


def test_bytes_of_an_incomplete_sample_wait_for_the_rest() -> None:
    decoder = SampleDecoder(Encoding.PCM_S16LE, 1)
    data = struct.pack("<2h", 1000, -1000)

    got = [decoder.decode(data[:1]), decoder.decode(data[1:3])]

    assert decoder.rest == 1
    got.append(decoder.decode(data[3:]))
    assert decoder.rest == 0
    assert np.concatenate(got).tolist() == [1000 / 32_768, -1000 / 32_768]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("encoding", [Encoding.PCM_S16LE, Encoding.MULAW])
def test_the_cut_of_the_bytes_changes_no_bit_of_the_samples(rate: int, encoding: Encoding) -> None:
    data = np.random.default_rng(rate).bytes(rate // 4 * encoding.sample_bytes)
    dice = random.Random(rate)
    whole = decode(AudioDecoder(encoding, rate, 1), data, [])

    for count in (1, 7, 300):
        cuts = [dice.randrange(len(data)) for _ in range(count)]

        assert np.array_equal(decode(AudioDecoder(encoding, rate, 1), data, cuts), whole)


@settings(max_examples=25, deadline=None)
@given(
    layout=st.tuples(st.sampled_from(list(Encoding)), st.sampled_from(RATES), st.integers(1, 3)),
    frames=st.integers(0, 3000),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=30),
    seed=st.integers(0, 99),
)
def test_samples_do_not_depend_on_messages(
    layout: tuple[Encoding, int, int], frames: int, cuts: list[int], seed: int
) -> None:
    encoding, rate, channels = layout
    values = np.random.default_rng(seed).standard_normal(frames * channels).astype("<f4")
    data = values.tobytes() if encoding is Encoding.PCM_F32LE else values.tobytes()[: len(values)]
    data = data[: len(data) // (encoding.sample_bytes * channels) * encoding.sample_bytes * channels]

    got = decode(AudioDecoder(encoding, rate, channels), data, cuts)

    assert np.array_equal(got, decode(AudioDecoder(encoding, rate, channels), data, []))
    assert abs(len(got) - len(data) / encoding.sample_bytes / channels * SAMPLE_RATE / rate) < 1


@pytest.mark.parametrize("rate", RATES)
def test_an_event_keeps_its_time_at_any_rate(rate: int) -> None:
    click = np.zeros(rate, np.float32)
    click[rate // 2] = 0.9
    resampler = Resampler(rate)

    output = np.concatenate([resampler.resample(click), resampler.flush()])

    assert len(output) == SAMPLE_RATE
    assert abs(int(np.argmax(np.abs(output))) - rate // 2 * SAMPLE_RATE / rate) < 1


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_a_tone_comes_through_unchanged(rate: int) -> None:
    resampler = Resampler(rate)

    output = np.concatenate([resampler.resample(tone(rate, 1)), resampler.flush()])

    inner = slice(2000, -2000)
    assert np.abs(output[inner] - tone(SAMPLE_RATE, 1)[inner]).max() < 1e-3


@pytest.mark.parametrize("rate", RATES)
def test_a_flush_neither_shifts_nor_spoils_what_comes_after_it(rate: int) -> None:
    sound = tone(rate, 2)
    dice = random.Random(rate)
    unbroken = Resampler(rate)
    expected = np.concatenate([unbroken.resample(sound), unbroken.flush()])
    resampler, parts, position, seams = Resampler(rate), [], 0, []

    while position < len(sound):
        step = dice.randrange(1, rate // 3)
        parts += [resampler.resample(sound[position : position + step]), resampler.flush()]
        position = min(position + step, len(sound))
        given_out = sum(map(len, parts))
        assert abs(given_out - position * SAMPLE_RATE / rate) < 1, "a flush gives out everything up to its sample"
        seams.append(given_out)

    output = np.concatenate(parts)
    # Just before a flush the filter could not know what was to come: nowhere else may it show.
    informed = np.ones(len(output), bool)
    for seam in seams:
        informed[max(0, seam - SAMPLE_RATE // 12) : seam] = False
    assert len(output) == len(expected)
    assert np.abs(output - expected)[informed].max() < 1e-5


def test_a_long_message_is_decoded_in_turns() -> None:
    decoder = AudioDecoder(Encoding.MULAW, 8000, 1)

    slices = [len(samples) for samples in decoder.decode(bytes(80_000))]

    assert len(slices) >= 20
    assert max(slices) <= SAMPLE_RATE
