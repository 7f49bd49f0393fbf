"""A child as the operating system has it: a process and a connection, started, killed and buried."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from streamer.processes.burial import bury
from streamer.processes.children import environment
from streamer.worker.block import Block, anonymous_file
from streamer.worker.errors import LINE_BYTES, ErrorOutput

ENDING_S = 1.0
"""What a child has to end when it is asked to, and when it is killed. Then it is left to the kernel, which cannot end a
process that is in a call of a driver."""


class ChildProcess:
    """A process, the connection to it, and the memory shared with it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        block: Block,
    ) -> None:
        """Take over what `start` has made."""
        self.reader, self.writer = streams
        self.block = block
        self._process = process
        self._errors = ErrorOutput()
        self._buried = False

    @classmethod
    async def start(cls, command: Sequence[str], windows: int) -> ChildProcess:
        """Start a process that becomes a child (`host.main`). Raises OSError if there can be none."""
        ours, theirs = socket.socketpair()
        memory = anonymous_file(windows)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, (theirs.fileno(), memory, windows, os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                # A person at a terminal sees the progress of a download as it is drawn.
                stderr=None if sys.stderr.isatty() else asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(), memory),
                env=environment(os.environ),
                limit=LINE_BYTES,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        except BaseException:
            ours.close()
            os.close(memory)
            raise
        finally:
            theirs.close()
        try:
            block = Block(memory, windows)
            streams = await asyncio.open_connection(sock=ours, limit=2**20)
        except BaseException:
            ours.close()
            process.kill()
            await process.wait()
            raise
        finally:
            os.close(memory)
        return cls(process, streams, block)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def lingers(self) -> bool:
        """Whether it is still there; after `bury` that means that the kernel cannot end it."""
        return self._process.returncode is None

    @property
    def last_words(self) -> str:
        """What Python said at a crash; empty if it was none."""
        return self._errors.last_words

    def kill(self) -> None:
        """Kill it, and wait for the end of the connection no longer than it should need to end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        # The connection stays open while the kernel cannot end the process, and while a process of its own holds it.
        asyncio.get_running_loop().call_later(ENDING_S, self.writer.transport.abort)

    async def bury(self) -> int | None:
        """Wait for the process to end, which its closed connection says it does; kill it otherwise.

        Returns its exit status, None if the kernel cannot end it yet: that is waited for once.
        """
        if not self._buried:
            await bury(self._process, ENDING_S)
            self._buried = True
        return self._process.returncode

    async def read_errors(self) -> None:
        """Log what it writes on its standard error, to the end."""
        if self._process.stderr is not None:
            await self._errors.read(self._process.stderr)
