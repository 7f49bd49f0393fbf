"""Decoders as processes: what they decode, how they end, and what they may."""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from streamer.decoding.confinement import MEMORY_BYTES, MOST_FILES
from streamer.decoding.decoder import Decoder, Limits
from streamer.decoding.landlock import CREATE_RULESET, VERSION
from streamer.decoding.losses import Cause, DecoderLostError
from streamer.decoding.messages import Begun, Block, Measured, Objection, UnfitError
from streamer.processes.framing import framed
from streamer.sound import Sound
from tests.faulty.decoder import command
from tests.streamer.decoding.files import PATIENT, Kept, decoded, decoding, footprint, noise
from tests.streamer.decoding.threads import start_saying
from tests.streamer.harness import until

FILES = {
    "wav": noise(8_000, 1),
    "wav stereo": noise(44_100, 2, subtype="FLOAT"),
    "flac": noise(48_000, 2, form="FLAC"),
    "vorbis": noise(22_050, 1, form="OGG", subtype="VORBIS"),
    "opus": noise(48_000, 2, form="OGG", subtype="OPUS"),
    "mp3": noise(44_100, 2, form="MP3"),
}


async def test_a_process_gives_the_samples_that_this_one_would() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(decoded(data)) for name, data in FILES.items()}
    for name, task in tasks.items():
        here = np.concatenate(list(Sound(io.BytesIO(FILES[name])).blocks(1.0)))
        assert np.array_equal(task.result(), here), name


@pytest.mark.parametrize(
    ("fault", "cause", "detail"),
    [
        ("segv@16000=0", Cause.CRASHED, "SIGSEGV"),
        ("kill@16000=6", Cause.KILLED, "SIGKILL"),
        ("exit@16000=2", Cause.EXITED, "status 0"),
        ("hoard:600@16000=1", Cause.MEMORY, "MemoryError"),
        ("raise@16000=6", Cause.FAILED, "a bug"),
    ],
)
async def test_a_decoder_that_is_lost_tells_how_it_ended_and_leaves_nothing(fault, cause, detail, caplog) -> None:
    decoders = Kept(command(fault))
    before = footprint()
    with pytest.raises(DecoderLostError, match=detail):
        await decoded(noise(16_000), decoders)

    assert footprint() == before
    assert decoders.lost(cause) == 1
    (line,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert detail in line.getMessage()
    assert (cause is Cause.CRASHED) == ("Fatal Python error" in (line.exc_text or ""))


@pytest.mark.parametrize("fault", ["hang@16000=2", "stop@16000=6", "spin@16000=0"])
async def test_a_decoder_that_hangs_is_killed_at_the_time_limit(fault) -> None:
    before = footprint()
    decoders = Kept(command(fault))
    with pytest.raises(UnfitError) as caught:
        await decoded(noise(16_000), decoders, Limits(60.0, 0.5))

    assert caught.value.objection is Objection.COSTLY
    assert "longer than 0.5 s" in caught.value.message
    assert footprint() == before


async def test_the_kernel_ends_one_that_uses_the_processor_for_too_long() -> None:
    async with decoding(noise(16_000), Kept(command("burn@16000=1")), Limits(60.0, 0.05)) as decoder:
        decoder._limits = PATIENT
        with pytest.raises(UnfitError) as caught:
            await decoder.measure()

    assert caught.value.objection is Objection.COSTLY


@pytest.mark.parametrize(
    "said",
    [
        [b"\0\0\0\4what"],
        [b"\xff\xff\xff\xff"],
        [framed(b"\x82\xa4type\xa5unfit\xa7message\xa2\xff\xff")],
        [framed(b"\x82\xa4type\xa5begun\xa1a" + b"\x91" * 10_000)],
        [Block(b"1234")],
        [Begun()],
        [Measured(16_000), Measured(16_000)],
        [Measured(16_000), Block(b"odd")],
        [Measured(16_000), Block(np.array([np.inf], np.float32).tobytes())],
        [Measured(16_000), Block(np.zeros(32_001, np.float32).tobytes())],
    ],
)
async def test_one_that_says_what_cannot_be_is_not_believed(said, monkeypatch) -> None:
    monkeypatch.setattr(Decoder, "start", partial(start_saying, [Begun(), *said]))
    decoders = Kept()
    with pytest.raises(DecoderLostError, match="cannot be"):
        await decoded(noise(16_000), decoders)

    assert decoders.lost(Cause.GARBLED) == 1


async def test_one_that_does_not_take_its_file_is_no_fault_of_the_file() -> None:
    decoders = Kept(command("exit@start"))
    with pytest.raises(DecoderLostError, match="status 0"):
        async with decoding(noise(16_000), decoders):
            pytest.fail("it has begun")

    assert decoders.lost(Cause.EXITED) == 1


async def test_what_is_refused_is_refused_as_it_would_be_here() -> None:
    with pytest.raises(UnfitError, match="may last 2 s") as long:
        await decoded(noise(16_000), limits=Limits(2.0, 60.0))
    with pytest.raises(UnfitError, match=r"readable are: .*flac") as nothing:
        await decoded(b"nonsense")

    assert long.value.objection is Objection.LONG
    assert nothing.value.objection is Objection.UNSUPPORTED


def told(decoder: Decoder, name: str) -> str:
    """Return what the kernel tells of a process."""
    return Path(f"/proc/{decoder.pid}/{name}").read_text()


async def test_a_decoder_may_take_little_and_knows_nothing(monkeypatch) -> None:
    monkeypatch.setenv("STREAMER_SERVER_TOKEN", "secret")
    monkeypatch.setenv("SOMEBODYS_KEY", "secret")
    async with decoding(noise(16_000)) as decoder:
        await decoder.measure()
        process = psutil.Process(decoder.pid)
        limits = {name: process.rlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in ("AS", "CORE", "FSIZE")}
        files = process.rlimit(resource.RLIMIT_NOFILE)

        assert limits == {"AS": MEMORY_BYTES, "CORE": 0, "FSIZE": 0}
        assert files == (MOST_FILES, MOST_FILES)
        assert "secret" not in str(process.environ())
        assert "libtorch" not in told(decoder, "maps")
        assert "NoNewPrivs:\t1" in told(decoder, "status")
        assert process.num_threads() == 1
        assert told(decoder, "oom_score_adj").strip() == "1000"


async def test_a_decoder_that_is_taken_over_can_do_nothing() -> None:
    if ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION) < 6:
        pytest.skip("this kernel has no Landlock, or not all of it (Linux 6.12)")
    with pytest.raises(DecoderLostError, match="it may: nothing"):
        await decoded(noise(16_000), Kept(command("pry@16000=1")))


async def test_signals_of_a_terminal_are_for_the_parent() -> None:
    async with decoding(noise(16_000, seconds=20.0)) as decoder:  # which fills the socket, so that it waits
        length = await decoder.measure()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(decoder.pid, number)
        assert sum([len(block) async for block in decoder.blocks()]) == length


async def test_nobody_pays_for_a_spare_before_the_first_file_and_it_is_used_and_replaced() -> None:
    before = footprint()
    decoders = Kept()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(decoders.run())
        await asyncio.sleep(0)
        assert decoders.spare is None
        decoders.prepare()
        await until(lambda: decoders.spare is not None)
        first = decoders.spare
        decoders.prepare()  # there is one
        async with decoding(noise(16_000), decoders) as decoder:
            assert decoder.pid == first
            assert await decoder.measure()
            assert decoders.spare is None
        await until(lambda: decoders.spare not in {None, first})
        assert len(footprint()[1]) == len(before[1]) + 1
        keeping.cancel()

    assert footprint() == before


async def test_a_spare_that_dies_is_noticed_and_costs_no_file(caplog) -> None:
    before = footprint()
    decoders = Kept()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(decoders.run())
        decoders.prepare()
        await until(lambda: decoders.spare is not None)
        os.kill(decoders.spare, signal.SIGKILL)
        await until(lambda: decoders.spare is None)
        assert len(await decoded(noise(16_000), decoders))
        keeping.cancel()

    assert decoders.lost(Cause.KILLED) == 1
    assert "SIGKILL" in caplog.text
    assert footprint() == before


async def test_a_file_goes_to_another_when_its_spare_dies_at_the_last_moment() -> None:
    decoders = Kept()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(decoders.run())
        decoders.prepare()
        await until(lambda: decoders.spare is not None)
        os.kill(decoders.spare, signal.SIGSTOP)  # so that it cannot say that it has its file
        os.kill(decoders.spare, signal.SIGKILL)
        assert len(await decoded(noise(16_000), decoders))
        keeping.cancel()

    assert decoders.lost(Cause.KILLED) == 1


async def test_without_processes_there_is_no_spare_and_the_file_is_told(caplog) -> None:
    decoders = Kept(("/nowhere/python",))
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(decoders.run())
        decoders.prepare()
        await until(lambda: "no spare decoder" in caplog.text)
        with pytest.raises(FileNotFoundError):
            await decoded(noise(16_000), decoders)
        keeping.cancel()


ORPHANAGE = """
import asyncio
from streamer.decoding.decoder import Decoder, Limits
async def main(file):
    decoder = await Decoder.start({command!r})
    await decoder.begin(file, Limits(60, 60))
    print(decoder.pid, flush=True)
    await decoder.measure()
with open({path!r}, "rb") as file:
    asyncio.run(main(file))
"""


@pytest.mark.parametrize("fault", ["spin@16000=0", "stop@16000=1"])
def test_an_orphan_ends_at_once_whatever_it_is_at(fault, tmp_path) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(noise(16_000))
    program = ORPHANAGE.format(command=command(fault), path=str(path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        began = time.monotonic()
        parent.kill()
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            with suppress(psutil.TimeoutExpired):
                child.wait(timeout=0.05)

    assert time.monotonic() - began < 5.0
