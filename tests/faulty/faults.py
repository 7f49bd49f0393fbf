"""What a child can be told to do wrong, and when: `kind[:seconds]@when[*]` (of `hoard` mebibytes).

    segv@5            at the fifth batch of the first child
    segv@5*           at the fifth batch of every child
    hang:30@key=7     whenever speaker 7 is in a batch: a poisonous request
    oom@rows=4        whenever a batch has more than four rows
    slow:0.02@every   at every batch, the daemon's own among them: a device of that speed
    raise@after=3     at all batches after the third of the first child, the daemon's own among them
    raise@child>=2    at all batches of the second child and the later ones, the daemon's own among them
    exit@start=2      while the second child loads; start* while any does, start> while any after the first

Batches of the daemon's own are not counted.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from model.errors import ModelError
from model.types import DecodeRequest, Hypothesis
from streamer.config import ConfigError
from tests.faulty.spoken import FrameRecognizer, keys_in


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def hold_lock(seconds: float) -> None:
    """Sleep in a call that holds Python's lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def fail(error: BaseException) -> NoReturn:
    """Raise."""
    raise error


def send(number: int) -> None:
    """Signal this process and wait for what comes of it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def cling(seconds: float) -> None:
    """Fall silent, and have a process that keeps the connection open, as one does that the kernel cannot end."""
    if os.fork() == 0:
        os.closerange(1, 3)
        time.sleep(seconds)
        os._exit(0)
    hold_lock(1e3)


def hoard(mebibytes: float) -> None:
    """Take memory, and write to all of it."""
    bytearray(b"x") * int(mebibytes * 2**20)


KINDS: Final[dict[str, Callable[[float], object]]] = {
    "kill": lambda _: send(signal.SIGKILL),
    "segv": lambda _: send(signal.SIGSEGV),
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(0),
    "stop": lambda _: send(signal.SIGSTOP),
    "hang": lambda seconds: time.sleep(seconds or 1e6),
    "spin": lambda seconds: hold_lock(seconds or 1e3),
    "cling": lambda seconds: cling(seconds or 10),
    "slow": time.sleep,
    "hoard": lambda mebibytes: hoard(mebibytes or 256),
    "raise": lambda _: fail(RuntimeError("a bug in the recognizer")),
    "oom": lambda _: fail(OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")),
    "memory": lambda _: fail(MemoryError()),
    "onednn": lambda _: fail(RuntimeError("could not create a memory object")),
    "cuda": lambda _: fail(RuntimeError("CUDA error: device-side assert triggered")),
    "refuse": lambda _: fail(ModelError("the model is not there")),
    "config": lambda _: fail(ConfigError("model.name must be another")),
    "print": lambda _: os.write(2, b"a library says something\n"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    seconds: float
    when: str
    always: bool

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read the syntax above. Raises ValueError."""
        what, at, when = text.partition("@")
        kind, _, seconds = what.partition(":")
        if kind not in KINDS or not at:
            raise ValueError(f"a fault must be one of {', '.join(KINDS)} and @when, got {text!r}")
        return cls(kind, float(seconds or 0), when.removesuffix("*"), when.endswith("*"))

    def do(self) -> None:
        """Go wrong."""
        KINDS[self.kind](self.seconds)

    def strikes_start(self, generation: int) -> bool:
        """Say whether it strikes while child number `generation` loads."""
        name, _, number = self.when.partition("=")
        if name == "start>":
            return generation > 1
        return name == "start" and (self.always or generation == int(number or 1))

    def strikes(self, batch: Sequence[DecodeRequest], number: int, generation: int) -> bool:
        """Say whether it strikes at batch `number` of child `generation`."""
        name, _, value = self.when.partition("=")
        match name:
            case "every":
                struck = True
            case "rows":
                struck = len(batch) > int(value)
            case "after":
                struck = number > int(value) and (self.always or generation == 1)
            case "child>":
                struck = generation >= int(value)
            case "key":
                struck = int(value) in keys_in(batch)
            case "start" | "start>":
                struck = False
            case _:
                struck = number == int(name) and (self.always or generation == 1)
        return struck


class FaultyRecognizer(FrameRecognizer):
    """Goes wrong as it is told, and else reads frames."""

    def __init__(self, faults: Sequence[Fault], generation: int) -> None:
        super().__init__()
        self._faults = faults
        self._generation = generation
        self._number = 0
        self._forgotten = 0
        for fault in faults:
            if fault.strikes_start(generation):
                fault.do()

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, or do something else."""
        own = all(request.stream == "warm-up" for request in batch)
        self._number += not own
        for fault in self._faults:
            if own and not fault.when.startswith(("after", "every", "child")):
                continue
            if fault.strikes(batch, self._number, self._generation):
                fault.do()
        return [self.answer(request, len(batch)) for request in batch]

    def forget(self, stream: str) -> None:
        """Keep nothing: a child lives long."""
        self._forgotten += 1

    def step_counts(self) -> dict[str, int]:
        """Count batches as if they were steps, and streams that have ended as if graphs were given up with them."""
        return {"replays": self._number, "captures": 0, "evictions": self._forgotten, "unread": 0}
