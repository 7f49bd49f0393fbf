from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile

from clients.file import FileError, SoundFile, paced
from model.types import SAMPLE_RATE
from streamer.sound import Sound
from tests.virtual_time import run

SPEECH = Path(__file__).parents[3] / "shared" / "data"


def sine(rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_any_format_and_rate_becomes_16_khz_mono(tmp_path, name, rate):
    soundfile.write(tmp_path / name, np.stack([sine(rate), sine(rate)], axis=1), rate)

    with SoundFile(tmp_path / name) as sound:
        samples = sound.read()

    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(SAMPLE_RATE, abs=SAMPLE_RATE * 0.15 if name == "a.mp3" else 2)
    assert loudness(samples[2000:-2000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1), SAMPLE_RATE)

    with SoundFile(tmp_path / "a.wav") as sound:
        assert np.allclose(sound.read(), 0.125, atol=1e-4)


@pytest.mark.parametrize("block_s", [0.001, 0.1, 7.0])
def test_the_block_size_does_not_change_the_samples(tmp_path, block_s):
    soundfile.write(tmp_path / "a.wav", sine(44_100), 44_100)

    with SoundFile(tmp_path / "a.wav") as whole, SoundFile(tmp_path / "a.wav") as cut:
        assert np.array_equal(np.concatenate(list(cut.blocks(block_s))), whole.read())


def test_values_that_are_no_numbers_become_silence(tmp_path):
    data = np.array([0.5, np.nan, np.inf, -np.inf, 3.0, 0.25], dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", data, SAMPLE_RATE, subtype="FLOAT")

    with SoundFile(tmp_path / "a.wav") as sound:
        assert sound.read().tolist() == [0.5, 0.0, 1.0, -1.0, 1.0, 0.25]


def test_a_file_without_sound_is_no_trouble(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), SAMPLE_RATE)

    with SoundFile(tmp_path / "a.wav") as sound:
        assert len(sound.read()) == 0


def wav(riff: int, length: int, rest: bytes, rate: int = SAMPLE_RATE) -> bytes:
    """Return a mono file of 16 bits with these lengths in its header."""
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, min(2 * rate, 2**32 - 1), 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + shape + struct.pack("<4sI", b"data", length) + rest


HEARD = np.arange(1, 1001, dtype="<i2")
NOTE = b"LIST\x04\0\0\0note"


@pytest.mark.parametrize("length", [0, 2**32 - 1])
@pytest.mark.parametrize("riff", [0, 8, 36, 2036, 2**32 - 1])
@pytest.mark.parametrize("heard", [HEARD, np.zeros(1000, "<i2")], ids=["sound", "silence"])
def test_a_recording_whose_lengths_were_never_written_is_read_to_its_end(tmp_path, riff, length, heard):
    (tmp_path / "a.wav").write_bytes(wav(riff, length, heard.tobytes()))

    with SoundFile(tmp_path / "a.wav") as sound:
        assert sound.duration_s == 1000 / SAMPLE_RATE
        assert np.array_equal(sound.read() * 32_768, heard)
    with (tmp_path / "a.wav").open("rb") as file:
        sound = Sound(file)
        assert np.array_equal(np.concatenate(list(sound.blocks(0.01))) * 32_768, heard)
        sound.close()
        assert not file.closed


@pytest.mark.parametrize("rest", [b"", NOTE, NOTE + b"odd \x01\0\0\0x", NOTE + b"odd \x01\0\0\0x\0"], ids=len)
def test_what_follows_no_samples_is_not_taken_for_some(tmp_path, rest):
    (tmp_path / "a.wav").write_bytes(wav(36 + len(rest), 0, rest))

    with SoundFile(tmp_path / "a.wav") as sound:
        assert len(sound.read()) == 0


@pytest.mark.parametrize(("length", "heard"), [(0, 0), (2**32 - 1, 1000)])
def test_a_pipe_is_opened_once_and_read_as_far_as_its_header_says(tmp_path, length, heard):
    fifo = tmp_path / "a.wav"
    os.mkfifo(fifo)
    content = wav(min(36 + length, 2**32 - 1), length, HEARD.tobytes()[: 2 * heard])
    writing = Thread(target=fifo.write_bytes, args=[content], daemon=True)
    writing.start()
    with SoundFile(fifo) as sound:
        assert len(sound.read()) == heard
    writing.join()


def test_a_rate_that_no_sound_has_is_told(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(2036, 2000, HEARD.tobytes(), rate=2**31 - 1))

    with pytest.raises(FileError, match=r"a\.wav: a rate of 2147483647 Hz"):
        SoundFile(tmp_path / "a.wav")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.wav: No such file"):
        SoundFile(tmp_path / "none.wav")


def test_a_file_that_is_no_sound_is_named(tmp_path):
    (tmp_path / "letter.wav").write_text("dear reader")

    with pytest.raises(FileError, match=r"letter\.wav: Format not recognised"):
        SoundFile(tmp_path / "letter.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(16_000), 16_000)
    (tmp_path / "a.wav").chmod(0)

    with pytest.raises(FileError, match="Permission denied"):
        SoundFile(tmp_path / "a.wav")


@pytest.mark.skipif(not SPEECH.is_dir(), reason="the recordings in ../shared/data are not beside this checkout")
@pytest.mark.parametrize("name", ["speech/jfk.flac", "speech/stereo_two_speakers.wav", "multilingual/en_then_de.mp3"])
def test_real_recordings_have_the_length_they_say(name):
    with SoundFile(SPEECH / name) as sound:
        assert len(sound.read()) / SAMPLE_RATE == pytest.approx(sound.duration_s, abs=0.01)


def times_of(speed: float, delays: list[float]) -> list[float]:
    """Return when blocks of a second are given out to a caller that takes so long for each."""

    async def listen() -> list[float]:
        times = []
        delay = iter(delays)
        async for _ in paced((np.zeros(SAMPLE_RATE, dtype=np.float32) for _ in delays), speed):
            times.append(asyncio.get_running_loop().time())
            await asyncio.sleep(next(delay))
        return times

    return run(listen())


@pytest.mark.parametrize(("speed", "expected"), [(1.0, [1, 2, 3]), (2.0, [0.5, 1.0, 1.5]), (0, [0, 0, 0])])
def test_a_block_is_sent_when_its_last_sample_would_have_been_heard(speed, expected):
    assert times_of(speed, [0.0] * 3) == pytest.approx(expected)


def test_delays_do_not_add_up():
    assert times_of(1.0, [0.9, 0.0, 0.9, 2.5, 0.0, 0.0, 0.0]) == pytest.approx([1, 2, 3, 4, 6.5, 6.5, 7])


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_speed_that_means_nothing_is_an_error(speed):
    with pytest.raises(ValueError, match="speed must be 0"):
        times_of(speed, [0.0])
