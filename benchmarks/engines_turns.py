"""Engines in processes of their own, which work in turns, one at a time."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol, Self, runtime_checkable

from benchmarks.engines_contestants import Contestant, Folders, make
from benchmarks.engines_work import Work

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Turn:
    """One update by one engine."""

    seconds: float
    """Time of all its threads on the processor: what else runs on the machine takes no part in it."""
    text: str
    passes: int
    """Decoder passes, where they are known."""
    accepted: float
    """Share of the draft that was accepted."""


@runtime_checkable
class Remembering(Protocol):
    """An engine that keeps something from one update of a stream to the next."""

    def hear_before(self, work: Work) -> None:
        """Take the update before this one; its time does not count."""
        ...


class EngineProcess:
    """An engine that waits for its turns."""

    def __init__(self, contestant: Contestant, folders: Folders, threads: int) -> None:
        """Start loading."""
        self.contestant = contestant
        self.obstacle = ""
        """Why it cannot take part; empty if it can."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        for name in VARIABLES:
            os.environ[name] = str(threads)
        self._process = context.Process(target=_serve, args=(other, contestant, folders, threads), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Self:
        """Wait until it has loaded, or cannot."""
        self.obstacle = self._receive()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def turn(self, work: Work) -> Turn:
        """Let it answer one update. Raises RuntimeError with what went wrong in it."""
        self._pipe.send(work)
        answer = self._receive()
        if isinstance(answer, Turn):
            return answer
        raise RuntimeError(f"{self.contestant.name}: {answer}")

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            return "its process has ended"


def _serve(pipe: Connection, contestant: Contestant, folders: Folders, threads: int) -> None:
    """Load, say whether that went well, and answer updates until the pipe is closed."""
    try:
        engine = make(contestant, folders, threads)
    except Exception as error:  # noqa: BLE001  # whatever keeps it from taking part goes into the table
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        return
    pipe.send("")
    while True:
        try:
            work = pipe.recv()
        except EOFError:
            return
        try:
            if isinstance(engine, Remembering):
                engine.hear_before(work)
            began = time.process_time()
            text = engine(work)
            seconds = time.process_time() - began
            passes, accepted = getattr(engine, "passes", 0), getattr(engine, "accepted", 0.0)
            pipe.send(Turn(seconds, text.strip(), passes, accepted))
        except Exception as error:  # noqa: BLE001  # as above
            pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
