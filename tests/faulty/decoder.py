"""The decoder of uploads, with faults: its arguments before that of the parent, `kind[:seconds]@rate=read`.

    segv@8000=2       at the second block that is read of a file with 8 kHz, the blocks of measuring counted
    hang@8000=0       when such a file is opened
    exit@start        before it has a file

What goes wrong is as for the recognizer's process, see `faults.py`, and besides

    burn              uses a processor, for ever
    pry               tries what it may not do, and raises with what it could

Files with other rates are decoded as always.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from model.types import Samples
from streamer.decoding.host import main
from streamer.sound import Sound
from tests.faulty.faults import KINDS

ROOT = Path(__file__).parents[2]


def command(*faults: str) -> list[str]:
    """Return the command line of a decoder with these faults, from wherever it is started."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.faulty.decoder import run; run()"
    return [sys.executable, "-P", "-c", program, *faults]


def run() -> None:
    """Be the decoder."""
    faults = sys.argv[1:-1]
    for fault in faults:
        what, _, when = fault.partition("@")
        if when == "start":
            strike(what)
    main(lambda file: FaultySound(file, faults))


def strike(what: str) -> None:
    """Go wrong."""
    kind, _, seconds = what.partition(":")
    if kind == "burn":
        while True:
            pass
    elif kind == "pry":
        raise RuntimeError(f"it may: {', '.join(pry()) or 'nothing'}")
    else:
        KINDS[kind](float(seconds or 0))


def pry() -> Iterator[str]:
    """Try what a decoder has no business to do; yield what is possible."""
    attempts: dict[str, Callable[[], object]] = {
        "read": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "list": lambda: next(Path("/").iterdir()),
        "write": lambda: os.open("/tmp/streamer-pry", os.O_WRONLY | os.O_CREAT),
        "look into the daemon": lambda: os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY),
        "signal the daemon": lambda: os.kill(os.getppid(), signal.SIGCONT),
        "connect": lambda: socket.create_connection(("127.0.0.1", 9), 1.0),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            yield f"{name} ({error})"
        else:
            yield name


class FaultySound(Sound):
    """Goes wrong as it is told, and else decodes."""

    reads = 0
    """Of both times that a file is read: each child has one file."""

    def __init__(self, file: BinaryIO, faults: Sequence[str]) -> None:
        super().__init__(file)
        self._faults = faults
        self._fail()

    def read(self, block_s: float) -> Iterator[Samples]:
        """Yield blocks until something goes wrong."""
        for block in super().read(block_s):
            FaultySound.reads += 1
            self._fail()
            yield block

    def _fail(self) -> None:
        for fault in self._faults:
            what, _, when = fault.partition("@")
            if when == f"{self.rate}={self.reads}":
                strike(what)
