"""`streamer demo`: recorded speech through a real daemon over a real WebSocket, in real time."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clients.connection import connect
from clients.demo.clip import choose_clip
from clients.file import paced
from model.types import SAMPLE_RATE, Samples
from streamer.capture.process import environment
from streamer.commands.complaints import complain
from streamer.commands.displays import CaptionFormat, display_for
from streamer.commands.outcome import CommandError, Exit
from streamer.commands.transfer import transfer
from streamer.config import DemoModelConfig, ModelConfig
from streamer.processes import children
from streamer.signals import handled

BLOCK = SAMPLE_RATE // 10
START_TIMEOUT_S = 300.0
"""A model on a slow disk and a slow CPU takes its time; a download of another model too."""
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What the daemon of the demonstration is told."""

    model: DemoModelConfig = field(default_factory=DemoModelConfig)


DEFAULTS = DemoSettings()


def demo(
    *,
    file: Path | None = None,
    speed: float = 1.0,
    plain: bool = False,
    settings: Annotated[DemoSettings, Parameter(name="*")] = DEFAULTS,
) -> int:
    """Start a daemon, let it hear recorded speech as if it were spoken now, show the captions, stop the daemon.

    Args:
        file: A sound file instead of the digits that come with the program.
        speed: 1 is real time, 0 as fast as the daemon accepts.
        plain: Print finished lines only, also in a terminal.
        settings: The model of the daemon; the embedded one knows English digits only.
    """
    if not 0 <= speed < float("inf"):
        raise CommandError(f"speed must be 0 (as fast as accepted) or more, got {speed:g}", Exit.USAGE)
    clip = choose_clip(file)
    complain(f"{clip.description}, {len(clip.samples) / SAMPLE_RATE:.0f} s")
    return asyncio.run(_run(clip.samples, settings.model, speed, plain=plain))


async def _run(samples: Samples, model: ModelConfig, speed: float, *, plain: bool) -> int:
    with broken_off() as how:
        async with running_daemon(model) as address, connect(address) as stream:
            complain(f"the daemon listens on {address} with the model {stream.ready.model}")
            with display_for(CaptionFormat.TEXT, plain=plain, source="the daemon hears it now") as display:
                await transfer(stream, paced(blocks(samples), speed), display)
    return how.status


@dataclass(slots=True)
class HowItEnded:
    """How the demonstration came to its end."""

    status: int = Exit.OK


@contextmanager
def broken_off() -> Iterator[HowItEnded]:
    """Cancel what is inside at SIGTERM, or when the terminal is closed: whatever it has started must not stay behind.

    Yields the exit code, which is 128 and the signal's number then, as a shell has it.
    """
    task, how = asyncio.current_task(), HowItEnded()
    assert task is not None

    def stop(number: int) -> None:
        how.status = 128 + number
        task.cancel()

    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    with handled({number: partial(stop, number) for number in signals}):
        try:
            yield how
        except asyncio.CancelledError:
            if how.status == Exit.OK:
                raise
            task.uncancel()


def blocks(samples: Samples) -> Iterator[Samples]:
    """Cut samples into blocks of 100 ms."""
    return (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))


@asynccontextmanager
async def running_daemon(model: ModelConfig) -> AsyncGenerator[str, None]:
    """Start `streamer serve` on a free port, give its address, and stop it with SIGTERM.

    Raises CommandError if it does not start, or does not end well.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # a folder named model where the user happens to be is not ours
        "-m",
        "streamer.tethered",  # so that it ends even if we are killed
        "serve",
        *("--server.host", "127.0.0.1", "--server.port", "0", "--server.token", "", "--log.level", "WARNING"),
        *flags(model),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=children.environment(environment()),  # what a person's own daemon is told is not for this one
        start_new_session=True,  # Ctrl-C is for us to handle
    )
    try:
        yield await _address(process)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
        assert process.stdin
        process.stdin.close()  # not before: a second signal would cut off whoever is there still
    if status != Exit.OK:
        raise CommandError(f"the daemon ended with status {status} after SIGTERM, expected 0")


def flags(model: ModelConfig) -> Iterator[str]:
    """Write the settings of a model as a command line."""
    for name, value in asdict(model).items():
        yield f"--model.{name.replace('_', '-')}={value}"


async def _address(process: asyncio.subprocess.Process) -> str:
    """Read the line in which the daemon says where it listens; it is the last word of it."""
    assert process.stdout
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode().strip()
    except TimeoutError:
        raise CommandError(f"the daemon did not start within {START_TIMEOUT_S:g} s") from None
    if not line:
        status = await process.wait()
        raise CommandError("the daemon did not start; what it said is above", Exit(status) if status else Exit.FAILED)
    return line.split()[-1]
