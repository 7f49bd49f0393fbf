"""The microphone, with recordings that end as tests want them to, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest

from model.types import SAMPLE_RATE
from streamer.capture.frames import Frame, Kind
from streamer.capture.microphone import (
    SECOND_LOOK_S,
    STALL_S,
    Capture,
    Captured,
    DeviceLost,
    DeviceOpened,
    Microphone,
    Overflowed,
)
from streamer.capture.portaudio import INSTALL, AudioUnavailable
from streamer.capture.process import RecorderProcess
from streamer.capture.retries import ABSENT_FIRST_S, ABSENT_LONGEST_S, FIRST_S, LONGEST_S, MOST_BRIEF, Retries
from tests.streamer.harness import until
from tests.virtual_time import run

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
        self.clings = 0

    async def read(self) -> Frame:
        if not self.frames:
            await asyncio.Event().wait()
        await asyncio.sleep(BLOCK_S)
        frame = self.frames.pop(0)
        if frame is EOFError:
            raise EOFError("the recording process has ended")
        return Frame(*frame, asyncio.get_running_loop().time())

    async def close(self) -> bool:
        self.closed = True
        self.clings -= 1
        return self.clings < 0


class Studio:
    """Starts one recording after the other, the last one again and again."""

    def __init__(self, *recordings: Callable[[], FakeRecording]) -> None:
        self.recordings = list(recordings)
        self.started: list[FakeRecording] = []
        self.times: list[float] = []
        self.asked: list[str | None] = []

    async def start(self, device: str | None) -> FakeRecording:
        self.asked.append(device)
        made = self.recordings[min(len(self.started), len(self.recordings) - 1)]()
        self.started.append(made)
        self.times.append(asyncio.get_running_loop().time())
        return made


def capture(
    studio: Studio, seconds: float, pause: float = 0.0, *, required: bool = True, device: str | None = None
) -> list[tuple[float, Capture]]:
    """Return what a microphone yields and when, for so long; the caller takes `pause` for each item."""

    async def listen() -> list[tuple[float, Capture]]:
        heard: list[tuple[float, Capture]] = []
        microphone = Microphone(device, studio.start, required=required)
        try:
            async with asyncio.timeout(seconds), aclosing(microphone.capture()) as captures:
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
    assert reported - last_audio == pytest.approx(STALL_S + SECOND_LOOK_S)
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


@pytest.mark.parametrize(
    ("device", "later"), [("1", "1=a microphone"), ("micro", "micro"), (None, None)], ids=["number", "name", "default"]
)
def test_a_device_asked_for_by_number_is_looked_for_by_its_name_once_it_was_opened(device, later):
    """Another device may have its number by then."""
    studio = Studio(
        lambda: FakeRecording(GONE), lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(GONE)
    )

    capture(studio, seconds=5.0, required=False, device=device)

    assert studio.asked[:4] == [device, device, later, later]


def test_a_microphone_that_is_asked_again_looks_for_the_same_device_and_misses_nothing():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO))

    async def listen() -> list[Capture]:
        microphone, first = Microphone("1", studio.start), []
        for _ in range(2):
            async with aclosing(microphone.capture()) as captures:
                first.append(await anext(captures))
                await anext(captures)
            await asyncio.sleep(5.0)
        return first

    assert run(listen()) == [DeviceOpened("a microphone")] * 2
    assert studio.asked == ["1", "1=a microphone"]


def test_a_device_that_opens_but_stays_silent_has_not_come_back():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(OPENED))

    heard = capture(studio, seconds=60.0)

    assert [type(item) for item in events(heard)] == [DeviceOpened, DeviceLost]


def test_a_lost_device_is_looked_for_less_and_less_often_but_never_more_than_two_seconds_apart():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE), lambda: FakeRecording(GONE))

    capture(studio, seconds=30.0)

    waits = [round(later - earlier - BLOCK_S, 6) for earlier, later in pairwise(studio.times[1:])]
    assert waits[0] == pytest.approx(2 * FIRST_S)
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(LONGEST_S)


def test_patience_starts_anew_after_the_device_was_back():
    studio = Studio(*[lambda: FakeRecording(OPENED, *[AUDIO] * 300, GONE)] * 50)

    capture(studio, seconds=60.0)

    waits = [later - earlier for earlier, later in pairwise(studio.times)]
    assert waits == pytest.approx([FIRST_S + 302 * BLOCK_S] * len(waits))


def test_a_device_that_fails_again_and_again_right_after_it_was_opened_is_tried_less_and_less_often():
    studio = Studio(lambda: FakeRecording(OPENED, AUDIO, GONE))

    capture(studio, seconds=200.0)

    waits = [round(later - earlier - 3 * BLOCK_S, 6) for earlier, later in pairwise(studio.times)]
    assert waits[:MOST_BRIEF] == pytest.approx([FIRST_S] * MOST_BRIEF)
    assert waits[-1] == pytest.approx(ABSENT_LONGEST_S)


def test_a_recording_that_lasted_makes_up_for_the_brief_ones_before_it():
    retries = Retries()
    for _ in range(3):
        for seconds in [1.0] * MOST_BRIEF + [60.0]:
            retries.recorded(seconds)
            assert retries.pause() == FIRST_S


def wait_for(studio: Studio, seconds: float) -> list[tuple[float, Capture]]:
    """Return what a microphone yields that need not be there."""
    return capture(studio, seconds, required=False)


def test_a_device_that_need_not_be_there_is_waited_for_and_its_absence_is_said_once():
    studio = Studio(
        *[lambda: FakeRecording((Kind.FAILED, b"no input device"))] * 4, lambda: FakeRecording(OPENED, AUDIO)
    )

    heard = wait_for(studio, seconds=60.0)

    assert [type(item) for _, item in heard[:4]] == [DeviceLost, DeviceOpened, Captured, DeviceLost]
    assert heard[0][1] == DeviceLost("no input device")
    assert heard[1][1] == DeviceOpened("a microphone"), "before the first sound nothing is missing"


def test_a_device_that_never_comes_is_looked_for_every_half_minute_in_the_end():
    studio = Studio(lambda: FakeRecording((Kind.FAILED, b"no input device")))

    heard = wait_for(studio, seconds=300.0)

    waits = [round(later - earlier - BLOCK_S, 6) for earlier, later in pairwise(studio.times)]
    assert waits[0] == pytest.approx(ABSENT_FIRST_S)
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(ABSENT_LONGEST_S)
    assert len(heard) == 1


@pytest.mark.parametrize("failure", [(Kind.UNAVAILABLE, INSTALL.encode()), OSError("no process")], ids=str)
def test_what_is_missing_on_the_machine_is_waited_for_too(failure):
    class Bare(Studio):
        async def start(self, device):
            if not self.times and isinstance(failure, OSError):
                self.times.append(0.0)
                raise failure
            return await super().start(device)

    studio = Bare(
        lambda: FakeRecording(failure if isinstance(failure, tuple) else OPENED), lambda: FakeRecording(OPENED, AUDIO)
    )

    heard = wait_for(studio, seconds=30.0)

    assert [type(item) for _, item in heard[:3]] == [DeviceLost, DeviceOpened, Captured]
    assert heard[0][1].reason


def test_a_device_that_is_back_says_how_much_passed_by():
    studio = Studio(
        lambda: FakeRecording(OPENED, AUDIO, GONE),
        *[lambda: FakeRecording(GONE)] * 3,
        lambda: FakeRecording(OPENED, AUDIO),
    )

    heard = capture(studio, seconds=5.0)

    times = [time for time, item in heard if isinstance(item, Captured)]
    (back,) = [item for _, item in heard[1:] if isinstance(item, DeviceOpened)]
    assert back.missing == pytest.approx((times[1] - times[0]) * SAMPLE_RATE - 320, abs=1)
    assert back.missing > SAMPLE_RATE


def test_sound_that_came_while_this_process_stood_still_is_no_stall():
    class Standstill(FakeRecording):
        """Its second block is there at once, but this process hears of time first."""

        async def read(self) -> Frame:
            if len(self.frames) == 1 and not self.closed:
                self.closed = True
                await asyncio.sleep(2 * STALL_S)  # breaks off
            return await super().read()

    heard = capture(Studio(lambda: Standstill(OPENED, AUDIO, AUDIO)), seconds=STALL_S + 0.5)

    assert [type(item) for _, item in heard] == [DeviceOpened, Captured, Captured]


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


def test_no_process_is_started_beside_one_that_cannot_be_ended_and_the_loss_is_said_at_once():
    first = FakeRecording(OPENED, AUDIO, GONE)
    first.clings = 5
    studio = Studio(lambda: first, lambda: FakeRecording(OPENED, AUDIO))

    heard = capture(studio, seconds=30.0)

    assert [type(item) for _, item in heard[:5]] == [DeviceOpened, Captured, DeviceLost, DeviceOpened, Captured]
    assert heard[2][0] == pytest.approx(3 * BLOCK_S)
    assert studio.times[1] > 4 * LONGEST_S / 2, "it was asked again and again"
    assert first.clings == -1


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

    told = [(frame.kind, frame.payload) for frame in frames]
    assert told == [(Kind.OPENED, b"staller"), *[(Kind.AUDIO, bytes(640))] * 3]
    assert [frame.time for frame in frames[1:]] == sorted(frame.time for frame in frames[1:])
    with pytest.raises(EOFError):
        await recording.read()


async def test_a_real_recording_process_that_is_ahead_of_its_reader_ends_at_once(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(
        STALLING_SOUNDDEVICE.replace("range(3)", "range(140)").replace("640", "6400")
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    await recording.read()
    await until(lambda: recording._process.stdout._paused)  # the pipe is full

    async with asyncio.timeout(5):
        await recording.close()


async def test_a_real_recording_process_whose_pipe_stays_open_holds_nobody_up(tmp_path, monkeypatch):
    keeper = "import os\nif os.fork() == 0: time.sleep(10), os._exit(0)\n"
    (tmp_path / "sounddevice.py").write_text(STALLING_SOUNDDEVICE + keeper)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    await recording.read()

    async with asyncio.timeout(5):
        assert await recording.close()
        assert await recording.close(), "it may be asked again"
    recording._process._transport.close()


async def test_a_real_recording_process_without_portaudio_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(AudioUnavailable, match="apt install libportaudio2"):
        async with aclosing(Microphone().capture()) as captures:
            await anext(captures)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_recording_process_ends_when_its_reader_has_gone(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(
        STALLING_SOUNDDEVICE.replace("range(3)", "range(140)")
        .replace("640", "6400")
        .replace("time.sleep(3600)", "pass")
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording = await RecorderProcess.start(None)
    await recording.read()

    recording._process._transport.get_pipe_transport(1).close()

    async with asyncio.timeout(20):
        assert await recording._process.wait() == 0
