"""A decoder that is a thread: the same program and the same socket, without the start of a process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from streamer.decoding.decoder import Decoder
from streamer.decoding.host import send, serve
from streamer.decoding.messages import ToParent


class ThreadProcess:
    """Looks like a process; it ends when its connection does."""

    returncode = 0

    def __init__(self, connection: socket.socket, program: Callable[[socket.socket], object]) -> None:
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()

        def run() -> None:
            with connection:
                program(connection)
            with suppress(RuntimeError):  # nobody has waited for it, and the loop is closed
                loop.call_soon_threadsafe(self._ended.set_result, 0)

        self.pid = id(self)
        threading.Thread(target=run, name="decoder", daemon=True).start()

    def kill(self) -> None:
        """Do nothing: its connection is closed."""

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._ended)


async def start_thread(_command: Sequence[str]) -> Decoder:
    """Start one, as `Decoder.start` starts a process."""
    return running(serve)


async def start_saying(said: Sequence[ToParent | bytes], _command: Sequence[str]) -> Decoder:
    """Start one that says this, whatever file it is given."""

    def program(connection: socket.socket) -> None:
        _, (file,), _, _ = socket.recv_fds(connection, 4096, 1)
        os.close(file)
        with suppress(ConnectionError):
            for each in said:
                if isinstance(each, bytes):
                    connection.sendall(each)
                else:
                    send(connection, each)
            connection.recv(1)  # until the parent has heard enough

    return running(program)


def running(program: Callable[[socket.socket], object]) -> Decoder:
    """Run a program with the other end of a decoder's connection."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    errors, complaints = os.pipe()
    os.close(complaints)
    return Decoder(cast("Any", ThreadProcess(theirs, program)), ours, errors)
