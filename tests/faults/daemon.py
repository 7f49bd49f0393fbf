"""Starts a daemon as a process of its own and looks at it from outside."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.faults.raw import get
from tests.faulty.child import ROOT

START_S = 60.0
SETTLE_S = 20.0
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class State:
    """What a daemon holds."""

    memory_mib: float
    descriptors: int
    threads: int
    children: int
    tasks: int
    sessions: int

    def exceeds(self, other: State) -> str:
        """Say what there is more of than in `other`, memory apart."""
        names = ("descriptors", "threads", "children", "tasks", "sessions")
        more = [name for name in names if getattr(self, name) > getattr(other, name)]
        return ", ".join(f"{name} {getattr(other, name)} -> {getattr(self, name)}" for name in more)


class Subject:
    """A daemon that runs."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder
        self.seen = psutil.Process(process.pid)

    @property
    def log(self) -> list[str]:
        """Lines of its log so far."""
        return (self.folder / "log").read_text(errors="replace").splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON, as all should be."""
        return [json.loads(line) for line in self.log if line.startswith("{")]

    @property
    def worker(self) -> psutil.Process | None:
        """The recognizer's process."""
        children = self.seen.children()
        return children[0] if children else None

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def metric(self, name: str) -> float:
        """Return one value of /metrics by its full name; 0 if it is not there."""
        _, body = await get(self.port, "/metrics")
        found = [line for line in body.splitlines() if line.startswith(f"{name} ")]
        return float(found[0].split()[-1]) if found else 0.0

    async def state(self) -> State:
        """Look at what it holds."""
        sessions = await self.metric("streamer_sessions")
        tasks = await self._tasks()
        with self.seen.oneshot():
            memory = self.seen.memory_info().rss / 2**20
            threads = self.seen.num_threads()
        descriptors, children = self.seen.num_fds(), len(self.seen.children())
        return State(memory, descriptors, threads, children, tasks, int(sessions))

    async def settled(self, before: State | None = None) -> State:
        """Look again and again until it holds no more than `before`, or nothing changes any more."""
        end = asyncio.get_running_loop().time() + (SETTLE_S if before else 3.0)
        last = await self.state()
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.2)
            state = await self.state()
            if (not state.exceeds(before)) if before else (not state.exceeds(last) and not last.exceeds(state)):
                return state
            last = state
        return last

    def kinds(self) -> Counter[str]:
        """Return what its descriptors are, without their numbers."""
        return Counter(
            re.sub(r"\[\d+\]", "", str(path.readlink()))
            for path in Path(f"/proc/{self.process.pid}/fd").iterdir()
            if path.is_symlink()
        )

    async def _tasks(self) -> int:
        path = self.folder / "tasks"
        path.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        async with asyncio.timeout(ANSWER_S):
            while not path.exists():  # noqa: ASYNC110  # another process makes it
                await asyncio.sleep(0.01)
        return int(path.read_text())


@asynccontextmanager
async def started(
    folder: Path,
    *flags: str,
    faults: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    program: Sequence[str] = ("tests.faults.subject",),
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Subject]:
    """Start a daemon on a free port; it is killed at the end if it still lives. `prefix` is what runs it."""
    wrong = [text for fault in faults for text in ("--fault", fault)]
    port = () if "--server.port" in flags else ("--server.port", "0")
    command = [*prefix, sys.executable, "-m", *program, *wrong, *port, "--log.format", "json", *flags]
    variables = {**os.environ, "FAULTS_FOLDER": str(folder), **(environment or {})}
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    try:
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode()
        if not line:
            await process.wait()
            tail = (folder / "log").read_text()[-500:]
            raise StartError(process.returncode or 0, tail)
        yield Subject(process, int(line.rpartition(":")[2].partition("/")[0] or 0), folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class StartError(Exception):
    """A daemon that ended before it was ready."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"ended with {status} before it was ready: {log}")
        self.status = status
        self.log = log
