"""Record one device and write it to a pipe: the child process behind `streamer.capture.microphone`.

Why a process: a stalled sound server raises nothing and may hold the thread that closes its stream for half a minute,
and PortAudio sees a device that was plugged in later only after a restart. A process can be killed at once, and a new
one sees the devices of its time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from streamer.capture.frames import Frame, Kind
from streamer.capture.portaudio import AudioUnavailable, NotInstalled, find_input, load_portaudio


def record(
    device: str | None,
    write: Callable[[bytes], object],
    portaudio: Any = None,
    clock: Callable[[], float] = monotonic,
) -> None:
    """Record until the device or the reader goes away; what went wrong is the last frame."""
    parent = os.getppid()
    try:
        backend = portaudio or load_portaudio()
        found = find_input(backend, device)
        # Only now: while a device is away this process is started again and again, and numpy is most of its start.
        from streamer.capture.recorder import Recorder  # noqa: PLC0415

        # A parent that died without a word can be told by the new parent the system gives.
        Recorder(backend, found, write, clock).run(lambda: os.getppid() == parent)
    except NotInstalled as error:
        write(Frame(Kind.UNAVAILABLE, str(error).encode(), clock()).pack())
    except AudioUnavailable as error:
        write(Frame(Kind.FAILED, str(error).encode(), clock()).pack())


def main() -> None:
    """Record the device named by the first argument (none: the default) to standard output."""
    output = sys.stdout.buffer

    def write(data: bytes) -> None:
        output.write(data)
        output.flush()

    try:
        record(sys.argv[1] if len(sys.argv) > 1 else None, write)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more; closing a stalled stream could take half a minute


if __name__ == "__main__":
    main()
