"""Faults of a real microphone: PulseAudio's null sink, its monitor through ALSA's pulse plugin, and a real daemon.

Run by `make microphone`; too slow for the suite. Each test prints what was seen. Matrix F of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from model.types import SAMPLE_RATE, Samples
from tests.digits import errors, needs_recordings, say

PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"
pytestmark = [
    needs_recordings,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not all(map(shutil.which, ("pulseaudio", "pactl", "pacat"))),
        reason="PulseAudio is missing (Debian and Ubuntu: apt install pulseaudio pulseaudio-utils)",
    ),
    pytest.mark.skipif(
        not any(Path("/usr").glob(f"lib*/**/{PLUGIN}")),
        reason="ALSA's pulse plugin is missing (Debian and Ubuntu: apt install libasound2-plugins)",
    ),
]

Message = dict[str, Any]


class Room:
    """A sound server of its own, whose sinks are rooms with a microphone in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_SERVER": f"unix:{folder}/native",
            "HF_HUB_OFFLINE": "1",
        }
        self.server: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the sound server, without any device."""
        with suppress(FileNotFoundError):
            (self.folder / "native").unlink()
        script = f"load-module module-native-protocol-unix auth-anonymous=1 socket={self.folder}/native\n"
        (self.folder / "script.pa").write_text(script)
        environment = {name: value for name, value in self.environment.items() if name != "PULSE_SERVER"}
        self.server = await asyncio.create_subprocess_exec(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "-F", str(self.folder / "script.pa")),
            env=environment,
            stderr=asyncio.subprocess.DEVNULL,
        )
        while not (self.folder / "native").exists():
            assert self.server.returncode is None
            await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send the sound server a signal."""
        self.server.send_signal(number)

    async def stop(self) -> None:
        """End it whatever state it is in."""
        if self.server is not None and self.server.returncode is None:
            self.server.kill()
            await self.server.wait()

    async def control(self, *words: str) -> str:
        """Run pactl."""
        process = await asyncio.create_subprocess_exec(
            "pactl", *words, env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, words
        return output.decode().strip()

    async def plug(self, name: str = "room", rate: int = 48_000, channels: int = 2) -> str:
        """Make a device; return what unplugs it."""
        return await self.control(
            "load-module", "module-null-sink", f"sink_name={name}", f"rate={rate}", f"channels={channels}"
        )

    async def unplug(self, device: str) -> None:
        """Take a device away."""
        await self.control("unload-module", device)

    async def play(self, audio: Samples, name: str = "room") -> None:
        """Play in real time."""
        process = await asyncio.create_subprocess_exec(
            *("pacat", "--playback", f"--device={name}", "--rate=16000", "--channels=1", "--format=s16le"),
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate((audio * 32_767).astype("<i2").tobytes())


class Daemon:
    """A running `streamer serve --microphone`, and someone who watches it."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address
        self.messages: list[tuple[float, Message]] = []
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """Take everything that is said of the microphone."""
        async with connect(f"ws://{self.address}/v1/watch/microphone", proxy=None) as viewer:
            async for message in viewer:
                self.messages.append((time.monotonic(), json.loads(message)))
                self._news.set()

    async def until(self, condition: Callable[[Message], bool], since: float = 0.0, within: float = 40.0) -> float:
        """Wait for a message; return when it came."""
        async with asyncio.timeout(within):
            while True:
                self._news.clear()
                for at, message in self.messages:
                    if at >= since and condition(message):
                        return at
                await self._news.wait()

    def of(self, kind: str) -> list[Message]:
        """Return what was said of one type."""
        return [message for _, message in self.messages if message["type"] == kind]

    @property
    def words(self) -> list[str]:
        """Every committed word."""
        return " ".join(message["text"] for message in self.of("commit")).split()

    async def ready(self) -> tuple[float, Message]:
        """Ask whether it is ready; return after how long, and the answer."""
        begun = time.monotonic()

        def ask() -> Message:
            with urlopen(f"http://{self.address}/readyz", timeout=5) as reply:
                return json.load(reply)

        answer = await asyncio.to_thread(ask)
        return time.monotonic() - begun, answer

    async def until_recording(self, within: float = 40.0) -> None:
        """Wait until the device is heard."""
        async with asyncio.timeout(within):
            while (await self.ready())[1]["microphone"] != "recording":  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)

    @property
    def recorders(self) -> list[psutil.Process]:
        """Its recording processes."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "streamer.capture" in child.cmdline()]


@pytest.fixture
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    room = Room(tmp_path_factory.mktemp("room"))
    await room.start()
    yield room
    await room.stop()


@asynccontextmanager
async def daemon(room: Room, *arguments: str, **environment: str) -> AsyncIterator[Daemon]:
    """Run a daemon with a microphone and watch it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", "serve", "--model", "demo", "--port", "0"),
        *(arguments or ("--microphone",)),
        env=room.environment | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    watching: asyncio.Task[None] | None = None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("listening on"), line
        running = Daemon(process, line.split("//")[1].split("/")[0])
        watching = asyncio.create_task(running.watch())
        yield running
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await watching
        if process.returncode is None:
            process.kill()
            await process.wait()


def warned(code: str) -> Callable[[Message], bool]:
    return lambda message: message["type"] == "warning" and message["code"] == code


def committed(count: int, daemon: Daemon) -> Callable[[Message], bool]:
    return lambda _: len(daemon.words) >= count


def is_gap(message: Message) -> bool:
    return message["type"] == "gap"


def saw(case: str, text: str) -> None:
    print(f"\n{case}: {text}")  # noqa: T201  # the record of what was seen


async def speak_and_check(room: Room, daemon: Daemon, seed: int, name: str = "room") -> int:
    """Play digits; return how many of ten were heard wrong."""
    spoken = say("george", 10, seed)
    before = len(daemon.words)
    await room.play(np.concatenate([spoken.audio, np.zeros(SAMPLE_RATE, np.float32)]), name)
    finals = len(daemon.of("final"))
    with suppress(TimeoutError):
        await daemon.until(lambda _: len(daemon.of("final")) > finals, within=3)
    return errors([word.strip(".,").lower() for word in daemon.words[before:]], list(spoken.words))


async def test_f1_f2_a_device_that_is_unplugged_in_the_middle_of_a_sentence_and_plugged_in_again(room):
    device = await room.plug()
    async with daemon(room) as running:
        await running.until_recording()
        speaking = asyncio.create_task(room.play(say("george", 40, 1, every=100).audio))
        await running.until(committed(4, running))
        gone = time.monotonic()
        await room.unplug(device)
        lost = await running.until(warned("microphone_lost")) - gone
        await running.until(lambda message: message["type"] == "final")
        await speaking
        await asyncio.sleep(3)
        assert not running.of("gap")
        back_at = time.monotonic()
        await room.plug()
        back = await running.until(warned("microphone_back")) - back_at
        await running.until(is_gap)
        (gap,) = running.of("gap")
        wrong = await speak_and_check(room, running, 2)
        away = back_at + back - gone
        saw("F1", f"warning after {lost:.2f} s, one gap of {gap['end'] - gap['start']:.2f} s for {away:.2f} s away")
        saw("F2", f"back {back:.2f} s after it was plugged in; {wrong} of 10 words wrong after it")

    assert lost <= 2
    assert back <= 5
    assert gap["end"] - gap["start"] == pytest.approx(away, abs=0.7)
    assert wrong <= 1


async def test_f3_a_sound_server_that_stands_still(room):
    await room.plug()
    async with daemon(room) as running:
        await running.until_recording()
        await asyncio.sleep(1)
        (recorder,) = running.recorders
        stopped = time.monotonic()
        room.signal(signal.SIGSTOP)
        try:
            lost = await running.until(warned("microphone_lost")) - stopped
            answers = []
            while time.monotonic() < stopped + 30:
                answers.append((await running.ready())[0])
                await asyncio.sleep(0.1)
            assert not recorder.is_running(), "the recording process that hangs was killed"
            assert len(running.recorders) <= 1
        finally:
            room.signal(signal.SIGCONT)
        going = time.monotonic()
        back = await running.until(warned("microphone_back"), within=30) - going
        await running.until(is_gap)
        (gap,) = running.of("gap")
        wrong = await speak_and_check(room, running, 3)
        text = f"warning after {lost:.2f} s, slowest of {len(answers)} answers of /readyz {max(answers):.2f} s"
        away = gap["end"] - gap["start"]
        saw("F3", f"{text}, back {back:.2f} s after SIGCONT, gap of {away:.2f} s, {wrong} of 10 words wrong")

    assert lost <= 2
    assert max(answers) < 1
    assert back <= 5
    assert 29 <= away <= 38
    assert wrong <= 1


async def test_f4_a_sound_server_that_is_killed(room):
    await room.plug()
    async with daemon(room) as running:
        await running.until_recording()
        await asyncio.sleep(1)
        killed = time.monotonic()
        room.signal(signal.SIGKILL)
        lost = await running.until(warned("microphone_lost")) - killed
        await room.stop()
        await asyncio.sleep(2)
        await room.start()
        await room.plug()
        started = time.monotonic()
        back = await running.until(warned("microphone_back")) - started
        await running.until(is_gap)
        wrong = await speak_and_check(room, running, 4)
        saw("F4", f"warning after {lost:.2f} s, back {back:.2f} s after the server was, {wrong} of 10 words wrong")

    assert lost <= 2
    assert back <= 5
    assert len(running.of("gap")) == 1
    assert wrong <= 1


async def test_f5_a_device_that_is_missing_at_the_start(room):
    async with daemon(room) as running:
        _, answer = await running.ready()
        assert (answer["status"], answer["microphone"]) == ("ready", "waiting")
        await running.until(warned("microphone_lost"))
        await asyncio.sleep(3)
        plugged = time.monotonic()
        await room.plug()
        await running.until_recording(within=35)
        back = time.monotonic() - plugged
        wrong = await speak_and_check(room, running, 5)
        saw("F5", f"ready without it, recording {back:.2f} s after it was plugged in, {wrong} of 10 words wrong")

    assert len([message for message in running.of("warning") if message["code"] == "microphone_lost"]) == 1
    assert not running.of("gap"), "nothing was lost before there was anything to lose"
    assert wrong <= 1


async def test_f6_a_device_that_only_knows_48_khz_stereo(room):
    await room.plug(rate=48_000, channels=2)
    async with daemon(room, "--microphone", "pulse") as running:
        await running.until_recording()
        wrong = sum([await speak_and_check(room, running, seed) for seed in (6, 7)])
        saw("F6", f"{wrong} of 20 words wrong, gaps {running.of('gap')}")

    assert wrong <= 2
    assert not running.of("gap")


async def test_f7_a_source_that_is_faster_than_time(room):
    (room.folder / "noise.raw").write_bytes(np.random.default_rng(0).integers(-99, 99, 480_000).astype("<i2").tobytes())
    config = f"""
        <confdir:alsa.conf>
        pcm.filemic {{ type file slave.pcm null file /dev/null infile {room.folder}/noise.raw format raw }}
        pcm.!default {{ type plug slave.pcm filemic }}
    """
    (room.folder / ".asoundrc").write_text(config.replace("<confdir:alsa.conf>", ""))
    async with daemon(room, "--microphone", "filemic") as running:
        await running.until(warned("microphone_lost"))
        grown = []
        memory = psutil.Process(running.process.pid).memory_info
        before = memory().rss
        for _ in range(100):
            await asyncio.sleep(0.1)
            grown.append(memory().rss - before)
        answer, _ = await running.ready()
        losses = len([message for message in running.of("warning") if message["code"] == "microphone_lost"])
        reason = running.of("warning")[0]["message"]
        saw(
            "F7",
            f"{losses} tries in 10 s, at most {max(grown) / 2**20:.1f} MiB more, /readyz in {answer:.2f} s: {reason}",
        )

    assert "faster than real time" in reason
    assert losses <= 8
    assert max(grown) < 64 * 2**20


async def test_f8_another_default_device_while_one_is_recorded(room):
    await room.plug("first")
    async with daemon(room) as running:
        await running.until_recording()
        await room.plug("second")
        await room.control("set-default-source", "second.monitor")
        # PulseAudio moves the stream; where that stalls it, the device is opened again.
        await asyncio.sleep(8)
        await running.until_recording()
        outputs = await room.control("list", "short", "source-outputs")
        sources = dict(line.split("\t")[:2] for line in (await room.control("list", "short", "sources")).splitlines())
        now = sources[outputs.split("\t")[1]]
        wrong = {name: await speak_and_check(room, running, 8, name) for name in ("first", "second")}
        saw("F8", f"recorded afterwards: {now}; words wrong of 10 by device {wrong}; gaps {len(running.of('gap'))}")

    assert now == "second.monitor"
    assert wrong["second"] <= 1


async def test_f9_a_recording_process_that_is_starved(room):
    await room.plug()
    async with daemon(room) as running:
        await running.until_recording()
        await asyncio.sleep(1)
        (recorder,) = running.recorders
        recorder.suspend()
        await asyncio.sleep(1.0)
        recorder.resume()
        await asyncio.sleep(2)
        # What the sound server kept comes late, what it did not keep is a gap.
        lost = sum(gap["end"] - gap["start"] for gap in running.of("gap"))
        wrong = await speak_and_check(room, running, 9)
        same = recorder.is_running()
        saw("F9", f"gap of {lost:.2f} s ({running.of('gap')}), {wrong} of 10 words wrong, same process: {same}")

    assert lost <= 1.3
    assert wrong <= 1
