"""The microphone, with recordings that end as tests want them to, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest

from clients.microphone import (
    FIRST_RETRY_S,
    LONGEST_RETRY_S,
    STALL_S,
    Capture,
    Captured,
    DeviceLost,
    DeviceOpened,
    Microphone,
    Overflowed,
    RecorderProcess,
)
from clients.portaudio import INSTALL, AudioUnavailable
from clients.recorder import Kind
from tests.clients.virtual_time import run
from tests.streamer.harness import until

BLOCK_S = 0.02
BLOCK = (np.full(320, 16_384, dtype="<i2")).tobytes()
OPENED = (Kind.OPENED, b"a microphone")
AUDIO = (Kind.AUDIO, BLOCK)
GONE = (Kind.FAILED, b"a microphone: the device has gone")


class FakeRecording:
    """Plays frames, a block's time apart, and then says nothing any more."""

    def __init__(self, *frames: tuple[Kind, bytes] | type[EOFError]) -> None:
        self.frames = list(frames)
        self.closed = False

    async def read(self) -> tuple[Kind, bytes]:
        if not self.frames:
            await asyncio.Event().wait()
        await asyncio.sleep(BLOCK_S)
        frame = self.frames.pop(0)
        if frame is EOFError:
            raise EOFError("the recording process has ended")
        return frame

    async def close(self) -> None:
        self.closed = True


class Studio:
    """Starts one recording after the other, the last one again and again."""

    def __init__(self, *recordings: Callable[[], FakeRecording]) -> None:
        self.recordings = list(recordings)
        self.started: list[FakeRecording] = []
        self.times: list[float] = []

    async def start(self, _device: str | None) -> FakeRecording:
        made = self.recordings[min(len(self.started), len(self.recordings) - 1)]()
        self.started.append(made)
        self.times.append(asyncio.get_running_loop().time())
        return made


def capture(studio: Studio, seconds: float, pause: float = 0.0) -> list[tuple[float, Capture]]:
    """Return what a microphone yields and when, for so long; the caller takes `pause` for each item."""

    async def listen() -> list[tuple[float, Capture]]:
        heard: list[tuple[float, Capture]] = []
        try:
            async with asyncio.timeout(seconds), aclosing(Microphone(start=studio.start).capture()) as captures:
                async for item in captures:
                    heard.append((asyncio.get_running_loop().time(), item))
                    await asyncio.sleep(pause)
        except TimeoutError:
            pass
        return heard

    return run(listen())


def events(heard: list[tuple[float, Capture]]) -> list[Capture]:
    return [item for _, item in heard if not isinstance(item, Captured)]


def test_blocks_arrive_as_samples_after_the_name_of_the_device():
    heard = capture(Studio(lambda: FakeRecording(OPENED, AUDIO, AUDIO)), seconds=1.0)

    assert heard[0][1] == DeviceOpened("a microphone")
    assert [item.samples.tolist() for _, item in heard[1:]] == [[0.5] * 320] * 2
    assert heard[1][1].samples.dtype == np.float32


def test_a_device_that_vanishes_is_reported_at_once():
    heard = capture(Studio(lambda: FakeRecording(OPENED, AUDIO, GONE)), seconds=0.1)

    assert heard[-1] == (pytest.approx(3 * BLOCK_S), DeviceLost("a microphone: the device has gone"))


def test_a_device_that_stalls_is_reported_within_two_seconds():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, AUDIO), lambda: FakeRecording(GONE))

    heard = capture(studio, seconds=10.0)

    last_audio = max(time for time, item in heard if isinstance(item, Captured))
    reported = min(time for time, item in heard if isinstance(item, DeviceLost))
    assert reported - last_audio == pytest.approx(STALL_S)
    assert reported - last_audio < 2.0


def test_a_recording_process_that_dies_is_reported():
    heard = capture(Studio(lambda: FakeRecording(OPENED, AUDIO, EOFError)), seconds=0.1)

    assert heard[-1][1] == DeviceLost("the recording process has ended")


def test_a_device_that_comes_back_is_opened_again_and_its_loss_was_said_once():
    studio = Studio(
        lambda: FakeRecording(OPENED, AUDIO, GONE),
        lambda: FakeRecording(GONE),
        lambda: FakeRecording(GONE),
        lambda: FakeRecording(OPENED, AUDIO),
    )

    heard = capture(studio, seconds=3.0)

    kinds = [type(item) for _, item in heard]
    assert kinds == [DeviceOpened, Captured, DeviceLost, DeviceOpened, Captured]


def test_a_device_that_opens_but_stays_silent_has_not_come_back():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(OPENED))

    heard = capture(studio, seconds=60.0)

    assert [type(item) for item in events(heard)] == [DeviceOpened, DeviceLost]


def test_a_lost_device_is_looked_for_less_and_less_often_but_never_more_than_two_seconds_apart():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(GONE))

    capture(studio, seconds=30.0)

    waits = [round(later - earlier - BLOCK_S, 6) for earlier, later in pairwise(studio.times[1:])]
    assert waits[0] == pytest.approx(2 * FIRST_RETRY_S)
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(LONGEST_RETRY_S)


def test_patience_starts_anew_after_the_device_was_back():
    studio = Studio(*[lambda: FakeRecording(OPENED, AUDIO, GONE)] * 50)

    capture(studio, seconds=10.0)

    waits = [later - earlier for earlier, later in pairwise(studio.times)]
    assert waits == pytest.approx([FIRST_RETRY_S + 3 * BLOCK_S] * len(waits))


def test_a_device_that_cannot_be_opened_the_first_time_is_an_error():
    with pytest.raises(AudioUnavailable, match="no input device 'x'"):
        capture(Studio(lambda: FakeRecording((Kind.FAILED, b"no input device 'x'"))), seconds=1.0)


@pytest.mark.parametrize("before", [[], [lambda: FakeRecording(OPENED, AUDIO, GONE)]], ids=["at first", "later"])
def test_a_missing_library_is_an_error_that_is_not_retried(before):
    studio = Studio(*before, lambda: FakeRecording((Kind.UNAVAILABLE, INSTALL.encode())))

    with pytest.raises(AudioUnavailable, match="libportaudio2"):
        capture(studio, seconds=10.0)

    assert len(studio.started) == len(before) + 1


def test_audio_that_nobody_took_in_time_is_reported():
    heard = capture(Studio(lambda: FakeRecording(OPENED, AUDIO, (Kind.LOST, b"4800"), AUDIO)), seconds=1.0)

    assert [type(item) for _, item in heard] == [DeviceOpened, Captured, Overflowed, Captured]
    assert heard[2][1] == Overflowed(4800)


def test_a_caller_that_is_slow_is_not_taken_for_a_stalled_device():
    heard = capture(Studio(lambda: FakeRecording(OPENED, *[AUDIO] * 5)), seconds=20.0, pause=3.0)

    assert [type(item) for _, item in heard[:6]] == [DeviceOpened, *[Captured] * 5]


def test_every_recording_is_closed():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(OPENED, AUDIO))

    capture(studio, seconds=1.0)

    assert len(studio.started) == 2
    assert all(recording.closed for recording in studio.started)


STALLING_SOUNDDEVICE = """
import threading, time

class PortAudioError(Exception): pass
class Default: device = (0, -1)
class Status: input_overflow = False
default = Default()

def query_hostapis(): return [{"name": "fake"}]
def query_devices():
    return [{"index": 0, "name": "staller", "hostapi": 0, "max_input_channels": 1, "default_samplerate": 16000.0}]
def check_input_settings(**settings): pass

class RawInputStream:
    def __init__(self, callback, **settings): self.callback = callback
    def __enter__(self):
        for _ in range(3): self.callback(bytes(640), 320, None, Status())
    def __exit__(self, *error): time.sleep(3600)
"""


async def test_a_real_recording_process_is_read_and_ends_at_once_though_its_device_hangs(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(STALLING_SOUNDDEVICE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    try:
        frames = [await recording.read() for _ in range(4)]
    finally:
        async with asyncio.timeout(5):
            await recording.close()

    assert frames == [(Kind.OPENED, b"staller"), *[(Kind.AUDIO, bytes(640))] * 3]
    with pytest.raises(EOFError):
        await recording.read()


async def test_a_real_recording_process_that_is_ahead_of_its_reader_ends_at_once(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(STALLING_SOUNDDEVICE.replace("range(3)", "range(490)"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    await recording.read()
    await until(lambda: recording._process.stdout._paused)  # the pipe is full

    async with asyncio.timeout(5):
        await recording.close()


async def test_a_real_recording_process_without_portaudio_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(AudioUnavailable, match="apt install libportaudio2"):
        async with aclosing(Microphone().capture()) as captures:
            await anext(captures)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_recording_process_ends_when_its_reader_has_gone(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(
        STALLING_SOUNDDEVICE.replace("range(3)", "range(400)").replace("time.sleep(3600)", "pass")
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    await recording.read()

    recording._process._transport.get_pipe_transport(1).close()

    async with asyncio.timeout(20):
        assert await recording._process.wait() == 0
