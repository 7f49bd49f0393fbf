"""The recording process as its parent sees it: started, read, killed."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from streamer.capture.frames import HEADER, Frame, Header, read_header

ENDING_S = 1.0
"""What a process that was killed has to end."""


def environment() -> dict[str, str]:
    """Return this process' environment for a child that has to find the same packages, installed or not."""
    ours = str(Path(__file__).parents[2])
    theirs = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{ours}{os.pathsep}{theirs}" if theirs else ours}


class RecorderProcess:
    """A `python -m streamer.capture` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._header: Header | None = None

    @classmethod
    async def start(cls, device: str | None) -> RecorderProcess:
        """Start recording `device`. Raises OSError if the system has no process to give."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named streamer where the user happens to be is not ours
            "-m",
            "streamer.capture",
            *([device] if device is not None else []),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # ALSA and JACK chatter; errors come as frames
            env=environment(),
            start_new_session=True,  # Ctrl-C is for us to handle
        )
        return cls(process)

    async def read(self) -> Frame:
        """Return the next frame; one that was broken off in the middle goes on where it was.

        Raises EOFError when the process has ended.
        """
        assert self._process.stdout
        try:
            if self._header is None:
                self._header = read_header(await self._process.stdout.readexactly(HEADER.size))
            payload = await self._process.stdout.readexactly(self._header.length)
        except asyncio.IncompleteReadError as error:
            raise EOFError("the recording process has ended") from error
        header, self._header = self._header, None
        return Frame(header.kind, payload, header.time)

    async def close(self) -> bool:
        """Kill the process: one whose sound server hangs would not end otherwise. May be asked again.

        Returns whether it has ended; the kernel cannot end a process that is in a call of a driver.
        """
        with suppress(ProcessLookupError):
            self._process.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                await self._end()
        return self._process.returncode is not None

    async def _end(self) -> None:
        """Wait for the end, which asyncio sees only when the pipe ends, too; and one that is full has to be read."""
        assert self._process.stdout
        while await self._process.stdout.read(65_536):
            pass
        await self._process.wait()
