"""The child's side: one file, and the end."""

from __future__ import annotations

import faulthandler
import io
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NoReturn

import numpy as np
import soundfile
from msgspec import msgpack

from streamer.decoding.confinement import allow_processor, be_first_to_go, confine
from streamer.decoding.messages import (
    Begun,
    Block,
    Decode,
    End,
    Failure,
    Measured,
    ToParent,
    Unfit,
    UnfitError,
)
from streamer.decoding.recording import Opener, Recording
from streamer.processes.children import die_with_parent, leave, leave_signals_to_parent
from streamer.processes.framing import HEADER, framed
from streamer.sound import Sound

MOST_REQUEST_BYTES: Final = 4096
"""A request is far shorter, and comes in one piece with its file."""


def main(open_sound: Opener = Sound) -> NoReturn:
    """Be a child: standard input is the connection, the command line ends with the parent's number."""
    leave_signals_to_parent()
    die_with_parent(int(sys.argv[-1]))
    faulthandler.enable()
    be_first_to_go()
    rehearse()
    confine()
    serve(socket.socket(fileno=0), open_sound, allow_processor)
    leave()


def rehearse() -> None:
    """Decode a little silence, so that all that is imported on first use has been."""
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros((2, 2)), 8_000, format="WAV")
    for message in answers(Decode(1.0, 0.0), silence, Sound, bool):
        msgpack.encode(message)


def serve(connection: socket.socket, open_sound: Opener = Sound, allow: Callable[[float], object] = bool) -> None:
    """Receive one file and tell all that is to be said of it, or as much as the parent wants to hear.

    `connection` blocks; `allow` is told how many seconds of a processor may be used until it is told again.
    """
    try:
        received = receive(connection)
        if received is not None:
            request, file = received
            send(connection, Begun())
            with file:
                for message in answers(request, file, open_sound, allow):
                    send(connection, message)
    except ConnectionError:
        pass  # an orphan does nobody any good


def answers(
    request: Decode, file: BinaryIO, open_sound: Opener, allow: Callable[[float], object]
) -> Iterator[ToParent]:
    """Yield all that is to be said of a file."""
    recording = Recording(file, open_sound)
    try:
        allow(request.time_s)
        yield Measured(recording.measure(request.max_audio_s))
        allow(request.time_s)
        for samples in recording.blocks():
            yield Block(samples.tobytes())
            allow(request.time_s)
        yield End()
    except UnfitError as error:
        yield Unfit(error.objection, error.message)
    except Exception as error:  # noqa: BLE001  # it is told where it will be read
        name, story = type(error).__name__, traceback.format_exc()
        yield Failure(f"{name}: {error}" if str(error) else name, story, isinstance(error, MemoryError))


def receive(connection: socket.socket) -> tuple[Decode, BinaryIO] | None:
    """Wait for the request and its file; None if the parent is gone."""
    data, descriptors, _, _ = socket.recv_fds(connection, MOST_REQUEST_BYTES, 1)
    if not descriptors:
        return None
    return msgpack.decode(data[HEADER.size :], type=Decode), os.fdopen(descriptors[0], "rb")


def send(connection: socket.socket, message: ToParent) -> None:
    """Send a message, as soon as there is room for it. Raises ConnectionError if the parent is gone."""
    connection.sendall(framed(msgpack.encode(message)))
