"""The recording process, with a PortAudio that plays a script."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from model.types import SAMPLE_RATE
from streamer.capture import portaudio, recorder
from streamer.capture.__main__ import record
from streamer.capture.frames import HEADER, Kind, read_header
from streamer.capture.portaudio import AudioUnavailable, NotInstalled, find_input, load_portaudio
from streamer.capture.process import environment
from streamer.capture.recorder import QUEUE_BLOCKS, Recorder


class FakePortAudioError(Exception):
    pass


class Clock:
    """Time, which passes as blocks are played."""

    now = 0.0


@dataclass
class Status:
    input_overflow: bool = False


@dataclass
class FakeDefault:
    device: tuple[int, int] = (1, -1)


@dataclass
class FakePortAudio:
    """Two microphones and a loudspeaker; `play` is called with a stream's callback when it is opened."""

    play: Callable[[Callable[..., None], dict[str, Any]], None]
    rates: tuple[int, ...] = (SAMPLE_RATE, 48_000)
    channels: tuple[int, ...] = (1, 2)
    opening: Exception | None = None
    inputs: int = 2
    default: FakeDefault = field(default_factory=FakeDefault)
    opened: list[dict[str, Any]] = field(default_factory=list)
    PortAudioError = FakePortAudioError

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "fake"}]

    def query_devices(self) -> list[dict[str, Any]]:
        names = ["Loudspeaker", "Built-in Microphone", "USB Microphone"][: self.inputs + 1]
        return [
            {
                "index": index,
                "name": name,
                "hostapi": 0,
                "max_input_channels": max(self.channels) if index else 0,
                "default_samplerate": float(max(self.rates)),
            }
            for index, name in enumerate(names)
        ]

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: int) -> None:
        assert dtype == "int16"
        assert device
        if samplerate not in self.rates or channels not in self.channels:
            raise FakePortAudioError("Invalid sample rate")

    def RawInputStream(self, **settings: Any) -> FakePortAudio:  # noqa: N802  # as sounddevice has it
        if self.opening:
            raise self.opening
        self.opened.append(settings)
        return self

    def __enter__(self) -> None:
        settings = self.opened[-1]
        self.play(settings["callback"], settings)
        settings["finished_callback"]()

    def __exit__(self, *error: object) -> None:
        pass


def blocks(count: int, level: int = 1000) -> Callable[..., None]:
    """Return a script that plays blocks of one level on all channels."""

    def play(callback: Callable[..., None], settings: dict[str, Any]) -> None:
        frames = settings["blocksize"]
        block = np.full(frames * settings["channels"], level, dtype="<i2").tobytes()
        for _ in range(count):
            Clock.now += frames / settings["samplerate"]
            callback(block, frames, None, Status())

    return play


def recorded(fake: Any, device: str | None = None) -> list[tuple[Kind, bytes]]:
    """Return the frames of a recording."""
    pipe = bytearray()
    record(device, pipe.extend, fake, lambda: Clock.now)
    return list(frames(bytes(pipe)))


def frames(data: bytes) -> Iterator[tuple[Kind, bytes]]:
    while data:
        header = read_header(data[: HEADER.size])
        yield header.kind, data[HEADER.size : HEADER.size + header.length]
        data = data[HEADER.size + header.length :]


def samples(heard: list[tuple[Kind, bytes]]) -> np.ndarray:
    return np.frombuffer(b"".join(payload for kind, payload in heard if kind is Kind.AUDIO), "<i2")


def test_sixteen_kilohertz_mono_is_passed_on_bit_for_bit_in_blocks_of_20_ms():
    fake = FakePortAudio(blocks(3))

    heard = recorded(fake)

    assert heard[0] == (Kind.OPENED, b"Built-in Microphone")
    assert [len(payload) for kind, payload in heard if kind is Kind.AUDIO] == [640] * 3
    assert set(samples(heard)) == {1000}


def test_a_device_that_only_knows_48_khz_stereo_is_mixed_down_and_resampled():
    fake = FakePortAudio(blocks(50), rates=(48_000,), channels=(2,))

    heard = recorded(fake)

    assert (fake.opened[0]["samplerate"], fake.opened[0]["channels"]) == (48_000, 2)
    assert len(samples(heard)) == pytest.approx(SAMPLE_RATE, abs=1000)
    assert np.median(samples(heard)) == 1000


@pytest.mark.parametrize(
    ("rates", "channels", "opened"),
    [((16_000, 48_000), (1, 2), (16_000, 1)), ((44_100, 48_000), (1, 2), (48_000, 1)), ((48_000,), (2,), (48_000, 2))],
    ids=["16 kHz mono", "mono", "all channels"],
)
def test_a_device_is_opened_as_near_to_16_khz_mono_as_it_can_be(rates, channels, opened):
    fake = FakePortAudio(blocks(50), rates=rates, channels=channels)

    heard = recorded(fake)

    assert [(one["samplerate"], one["channels"]) for one in fake.opened] == [opened]
    assert len(samples(heard)) == pytest.approx(SAMPLE_RATE, abs=1000), "a second"


def test_two_channels_are_averaged():
    def play(callback, settings):
        callback(np.tile([1000, 3000], settings["blocksize"]).astype("<i2").tobytes(), 320, None, Status())

    assert set(samples(recorded(FakePortAudio(play, channels=(2,), rates=(SAMPLE_RATE,))))) == {2000}


@pytest.mark.parametrize("level", [32_767, -32_768])
def test_sound_at_full_scale_does_not_turn_over_when_it_is_resampled(level):
    def play(callback, settings):
        blocks(10, 0)(callback, settings)
        blocks(10, level)(callback, settings)  # the step overshoots

    heard = samples(recorded(FakePortAudio(play, rates=(48_000,)))).astype(int)

    assert level in heard
    assert (heard * np.sign(level)).min() > -10_000


def test_a_device_that_goes_away_is_reported_after_its_last_audio():
    heard = recorded(FakePortAudio(blocks(2)))

    assert [kind for kind, _ in heard] == [Kind.OPENED, Kind.AUDIO, Kind.AUDIO, Kind.FAILED]
    assert b"has gone" in heard[-1][1]


def behind_by(read: int) -> Callable[..., None]:
    """Return a script in which the queue overflows, its reader takes `read` blocks, and another block comes."""

    def play(callback: Callable[..., None], settings: dict[str, Any]) -> None:
        blocks(QUEUE_BLOCKS + 100)(callback, settings)
        queue = callback.__self__._queue
        for _ in range(read):
            queue.get_nowait()
        blocks(1)(callback, settings)

    return play


def lost(heard: list[tuple[Kind, bytes]]) -> list[int]:
    return [int(payload) for kind, payload in heard if kind is Kind.LOST]


def test_blocks_that_do_not_fit_are_counted_and_said_where_they_are_missing():
    read = QUEUE_BLOCKS // 2 + 10

    heard = recorded(FakePortAudio(behind_by(read)))

    assert [kind for kind, _ in heard[-3:]] == [Kind.LOST, Kind.AUDIO, Kind.FAILED]
    assert len(lost(heard)) == 1
    assert len(samples(heard)) + sum(lost(heard)) == 320 * (QUEUE_BLOCKS + 101 - read)


def test_a_reader_that_is_only_just_too_slow_hears_one_long_gap_rather_than_many_short_ones():
    heard = recorded(FakePortAudio(behind_by(10)))

    assert [kind for kind, _ in heard[-2:]] == [Kind.LOST, Kind.FAILED]  # more is missing until half has been read
    assert len(samples(heard)) + sum(lost(heard)) == 320 * (QUEUE_BLOCKS + 101 - 10)


def test_an_overflow_inside_portaudio_is_reported_before_the_block_that_follows_it():
    def play(callback, settings):
        callback(bytes(640), 320, None, Status())
        callback(bytes(640), 320, None, Status(input_overflow=True))

    kinds = [kind for kind, _ in recorded(FakePortAudio(play))]

    assert kinds == [Kind.OPENED, Kind.AUDIO, Kind.LOST, Kind.AUDIO, Kind.FAILED]


def test_an_overflow_is_taken_to_be_as_long_as_nothing_was_heard():
    def play(callback, settings):
        blocks(5)(callback, settings)
        Clock.now += 1.0
        callback(bytes(640), 320, None, Status(input_overflow=True))

    assert lost(recorded(FakePortAudio(play))) == [SAMPLE_RATE - 320]


def test_frames_say_when_they_were_recorded_not_when_they_were_read():
    def play(callback, settings):
        blocks(2)(callback, settings)
        Clock.now += 1.0
        callback(bytes(640), 320, None, Status(input_overflow=True))

    pipe = bytearray()
    Clock.now = 100.0

    record(None, pipe.extend, FakePortAudio(play), lambda: Clock.now)

    times = []
    while pipe:
        header = read_header(bytes(pipe[: HEADER.size]))
        times.append((header.kind.name, round(header.time, 6)))
        del pipe[: HEADER.size + header.length]
    heard = [("AUDIO", 100.02), ("AUDIO", 100.04), ("LOST", 101.02), ("AUDIO", 101.04)]
    assert times == [("OPENED", 101.04), *heard, ("FAILED", 101.04)]  # opened when all was played


def test_a_device_that_is_silent_for_a_while_is_heard_on_until_the_reader_has_enough(monkeypatch):
    class Silent(FakePortAudio):
        def __enter__(self) -> None:
            pass

    monkeypatch.setattr(recorder, "PATIENCE_S", 0.001)
    fake, pipe, asked = Silent(blocks(0)), bytearray(), itertools.count()

    def keep_going() -> bool:
        number = next(asked)
        if number == 2:
            blocks(1)(fake.opened[0]["callback"], fake.opened[0])
        return number < 5

    Recorder(fake, find_input(fake, None), pipe.extend, lambda: Clock.now).run(keep_going)

    assert [kind for kind, _ in frames(bytes(pipe))] == [Kind.OPENED, Kind.AUDIO]


def test_sound_faster_than_real_time_is_no_microphone_and_ends_before_it_fills_the_memory():
    def play(callback, settings):
        for _ in range(100_000):
            callback(bytes(640), 320, None, Status())

    heard = recorded(FakePortAudio(play))

    assert b"faster than real time" in heard[-1][1]
    assert heard[-1][0] is Kind.FAILED
    assert len(samples(heard)) <= 4 * SAMPLE_RATE


def test_losses_are_counted_in_samples_at_16_khz():
    def play(callback, settings):
        callback(bytes(1920), 960, None, Status(input_overflow=True))

    heard = recorded(FakePortAudio(play, rates=(48_000,)))

    assert (Kind.LOST, b"320") in heard


def refused(_self: FakePortAudio, **settings: Any) -> None:
    raise FakePortAudioError("Invalid device")


@pytest.mark.parametrize("promising", [True, False])
def test_a_device_that_cannot_be_opened_says_why(monkeypatch, promising):
    if not promising:
        monkeypatch.setattr(FakePortAudio, "check_input_settings", refused)
    heard = recorded(FakePortAudio(blocks(0), opening=FakePortAudioError("Device unavailable [PaErrorCode -9985]")))

    assert heard == [(Kind.FAILED, b"Built-in Microphone: Device unavailable [PaErrorCode -9985]")]


def test_looking_for_a_device_that_is_away_costs_no_numpy():
    program = "import sys, streamer.capture.__main__; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], env=environment(), check=False).returncode == 0


def test_a_machine_without_a_microphone_says_so():
    assert recorded(FakePortAudio(blocks(0), inputs=0))[0][1].startswith(b"no input device")


@pytest.mark.parametrize(
    ("asked", "found"),
    [(None, 1), ("2", 2), ("usb", 2), ("Built-in", 1), ("microphone", 1), ("=USB Microphone", 2)],
    ids=str,
)
def test_a_device_is_found_by_number_or_part_of_its_name(asked, found):
    assert find_input(FakePortAudio(blocks(0)), asked).index == found


@pytest.mark.parametrize(("default", "found"), [((2, 0), 2), ((1, 2), 1), ((-1, 2), 1)], ids=str)
def test_without_a_name_the_default_input_is_taken_or_the_first_there_is(default, found):
    fake = FakePortAudio(blocks(0), channels=(1,), default=FakeDefault(default))

    assert find_input(fake, None).index == found


@pytest.mark.parametrize(("asked", "found"), [("2=Twin", 2), ("1=Twin", 1), ("7=Twin", 1), ("=Twin", 1)])
def test_of_devices_with_one_name_the_one_with_the_number_is_found_if_it_is_there(monkeypatch, asked, found):
    portaudio = FakePortAudio(blocks(0))
    twins = [device | {"name": "Twin"} for device in portaudio.query_devices()]
    monkeypatch.setattr(portaudio, "query_devices", lambda: twins)

    assert find_input(portaudio, asked).index == found


@pytest.mark.parametrize("asked", ["card=usb", "=hw:CARD=USB,DEV=0"])
def test_a_name_may_hold_an_equals_sign_as_those_of_alsa_do(monkeypatch, asked):
    portaudio = FakePortAudio(blocks(0))
    cards = zip(("HDMI", "PCH", "USB"), portaudio.query_devices(), strict=True)
    inputs = [device | {"name": f"hw:CARD={card},DEV=0"} for card, device in cards]
    monkeypatch.setattr(portaudio, "query_devices", lambda: inputs)

    assert find_input(portaudio, asked).index == 2


@pytest.mark.parametrize("asked", ["0", "7", "headset", "=Microphone"])
def test_an_unknown_device_is_an_error_that_names_those_there_are(asked):
    with pytest.raises(AudioUnavailable, match=rf"no input device '{asked}'; there are: 1 'Built-in .*2 'USB "):
        find_input(FakePortAudio(blocks(0)), asked)


def test_a_portaudio_that_does_not_start_says_why_and_may_be_tried_again(monkeypatch):
    def broken(_name):
        raise FakePortAudioError("Error initializing PortAudio: Unanticipated host error [PaErrorCode -9999]")

    monkeypatch.setattr(portaudio, "import_module", broken)

    [(kind, reason)] = recorded(None)
    assert kind is Kind.FAILED
    assert reason.startswith(b"PortAudio does not start: Error initializing")


@pytest.mark.parametrize("query", ["query_hostapis", "query_devices"])
def test_devices_that_portaudio_does_not_tell_are_told_to_be_so(monkeypatch, query):
    def not_text(_self):
        return b"Mikrof\xf3n".decode()

    monkeypatch.setattr(FakePortAudio, query, not_text)

    [(kind, reason)] = recorded(FakePortAudio(blocks(0)))
    assert kind is Kind.FAILED
    assert reason.startswith(b"PortAudio does not list the devices: 'utf-8' codec can't decode")


@pytest.mark.parametrize(
    ("missing", "advice"),
    [
        (OSError("PortAudio library not found"), "apt install libportaudio2"),
        (ImportError("No module named 'sounddevice'"), "pip install sounddevice"),
    ],
    ids=["library", "package"],
)
def test_what_is_missing_to_record_is_said_with_how_to_install_it(monkeypatch, missing, advice):
    def without(_name):
        raise missing

    monkeypatch.setattr(portaudio, "import_module", without)

    with pytest.raises(NotInstalled, match=advice) as caught:
        load_portaudio()
    assert recorded(None) == [(Kind.UNAVAILABLE, str(caught.value).encode())]
