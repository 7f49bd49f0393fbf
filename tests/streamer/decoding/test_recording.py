from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from model.types import SAMPLE_RATE, Samples
from streamer.decoding.messages import Objection, UnfitError
from streamer.decoding.recording import Recording
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
    data = sound_file(SPEECH, form, subtype)
    found = measure(data)

    assert found == pytest.approx(len(SPEECH), abs=SAMPLE_RATE // 5 if form == "MP3" else 0)
    assert sum(map(len, Recording(io.BytesIO(data)).blocks())) == found


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


def test_more_channels_than_anybody_mixes_down_are_refused():
    data = io.BytesIO()
    soundfile.write(data, np.zeros((100, 9)), SAMPLE_RATE, format="WAV")

    assert "9 channels" in refusal(data.getvalue()).message


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
