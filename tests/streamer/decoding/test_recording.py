from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

from model.types import SAMPLE_RATE, Samples
from streamer.core.audio import MAX_CHANNELS
from streamer.decoding.messages import Objection, UnfitError
from streamer.decoding.recording import MAX_RATE, MIN_RATE, Recording
from streamer.sound import Sound, SoundError
from tests.fakes import silence
from tests.streamer.http.uploads import SPEECH, sound_file


def measure(data: bytes, max_audio_s: float = 60.0) -> int:
    return Recording(io.BytesIO(data)).measure(max_audio_s)


def refusal(data: bytes, max_audio_s: float = 60.0) -> UnfitError:
    with pytest.raises(UnfitError) as caught:
        measure(data, max_audio_s)
    return caught.value


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)])
def test_it_is_as_long_as_what_is_decoded(form, subtype):
    recording = Recording(io.BytesIO(sound_file(SPEECH, form, subtype)))
    found = recording.measure(60.0)

    assert found == pytest.approx(len(SPEECH), abs=SAMPLE_RATE // 5 if form == "MP3" else 0)
    assert sum(map(len, recording.blocks())) == found


def test_length_is_counted_at_16_khz():
    data = io.BytesIO()
    soundfile.write(data, np.zeros((44_101, 2)), 44_100, format="WAV")

    assert measure(data.getvalue()) == 16_001


def test_silence_of_days_in_a_few_bytes_is_refused():
    bomb = sound_file(silence(60 * SAMPLE_RATE), "FLAC", "PCM_16")

    assert len(bomb) < 20_000
    assert refusal(bomb, 59.9).objection is Objection.LONG
    assert measure(bomb, 60.0) == 60 * SAMPLE_RATE


def claiming(samples: int, audio: Samples) -> bytes:
    """Return a FLAC file whose header has another number of samples; 0 says that it is not known."""
    flac = bytearray(sound_file(audio, "FLAC", "PCM_16"))
    # STREAMINFO: after "fLaC" and the block's head, the number of samples is the low 36 bits of bytes 10 to 17.
    (packed,) = struct.unpack(">Q", flac[18:26])
    flac[18:26] = struct.pack(">Q", packed >> 36 << 36 | samples)
    return bytes(flac)


def test_a_header_that_does_not_know_the_length_gets_nothing_in_and_keeps_nothing_out():
    assert refusal(claiming(0, silence(10 * SAMPLE_RATE)), 5.0).objection is Objection.LONG
    assert measure(claiming(0, SPEECH), 5.0) == len(SPEECH)


def test_a_header_that_claims_more_than_there_is_keeps_nothing_out():
    assert measure(claiming(3600 * SAMPLE_RATE, SPEECH), 5.0) == len(SPEECH)


def test_a_header_that_claims_as_much_as_it_can_write_keeps_nothing_out():
    wav = sound_file(SPEECH, "WAV", "PCM_16")
    at = wav.index(b"data") + 4
    endless = wav[:at] + b"\xff\xff\xff\xff" + wav[at + 4 :]

    assert measure(endless, 4.0) == len(SPEECH)


def test_a_rate_that_asks_for_gigabytes_a_second_is_refused():
    wav = bytearray(sound_file(SPEECH, "WAV", "PCM_16"))
    struct.pack_into("<I", wav, 24, 2_000_000_000)

    assert refusal(bytes(wav)).objection is Objection.UNSUPPORTED


@pytest.mark.parametrize(("rate", "channels"), [(MIN_RATE, 1), (MAX_RATE, 1), (SAMPLE_RATE, MAX_CHANNELS)])
def test_the_bounds_that_a_refusal_names_are_within_them(rate, channels):
    data = io.BytesIO()
    soundfile.write(data, np.zeros((rate, channels)), rate, format="WAV")

    assert measure(data.getvalue()) == SAMPLE_RATE


@pytest.mark.parametrize(("rate", "channels"), [(MIN_RATE - 1, 1), (MAX_RATE + 1, 1), (SAMPLE_RATE, MAX_CHANNELS + 1)])
def test_rates_that_nobody_records_at_and_more_channels_than_anybody_mixes_down_are_refused(rate, channels):
    data = io.BytesIO()
    soundfile.write(data, np.zeros((100, channels)), rate, format="WAV")
    error = refusal(data.getvalue())

    assert error.objection is Objection.UNSUPPORTED
    assert f"{rate} Hz with {channels} channels" in error.message


@pytest.mark.parametrize("data", [b"", b"nonsense", b"RIFF\x00\x00\x00\x00WAVE", b"\x1aE\xdf\xa3" * 100, b"\0" * 5000])
def test_what_is_no_audio_is_refused_with_what_could_be_read(data):
    error = refusal(data)

    assert error.objection is Objection.UNSUPPORTED
    assert all(name in error.message for name in ("flac", "mp3", "ogg", "wav"))
    assert "raw" not in error.message


def test_a_file_without_audio_is_refused():
    assert refusal(sound_file(silence(0))).objection is Objection.EMPTY


def test_a_file_that_is_damaged_in_the_middle_is_refused():
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 5 * SAMPLE_RATE).astype(np.float32)
    flac = bytearray(sound_file(noise, "FLAC", "PCM_16"))
    middle = len(flac) // 2
    flac[middle : middle + 20_000] = bytes(20_000)
    error = refusal(bytes(flac))

    assert error.objection is Objection.DAMAGED
    assert "damaged after " in error.message


class Decaying(Sound):
    """A file that can be read once."""

    held = 0

    def __init__(self, source: BinaryIO) -> None:
        super().__init__(source)
        type(self).held += 1

    def close(self) -> None:
        super().close()
        type(self).held -= 1

    def blocks(self, block_s: float) -> Iterator[Samples]:
        yield from islice(super().blocks(block_s), 1)
        raise SoundError("it is worn")


def test_a_file_that_is_damaged_when_it_is_read_again_does_not_end_as_if_that_were_all():
    recording = Recording(io.BytesIO(sound_file(SPEECH)), Decaying)
    assert recording.measure(60.0)
    assert Decaying.held == 0
    with pytest.raises(UnfitError, match="it is worn") as caught:
        list(recording.blocks())

    assert caught.value.objection is Objection.DAMAGED
    assert Decaying.held == 0
