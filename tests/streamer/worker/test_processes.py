"""Parent and child as processes: who ends when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from streamer.commands.outcome import Exit
from tests.faulty.child import ROOT
from tests.faulty.speaker import pcm
from tests.faulty.spoken import PAUSE_FRAMES, utterances

ORPHAN_S = 2.0


@contextmanager
def daemon(*faults: str, module: tuple[str, ...] = ("tests.faulty.daemon",)) -> Iterator[tuple[subprocess.Popen, int]]:
    """Start one; yield it and its port."""
    flags = [text for fault in faults for text in ("--fault", fault)]
    command = [sys.executable, "-m", *module, *flags, "--server.port", "0", "--log.format", "json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            line = process.stdout.readline()
            yield process, int(line.rpartition(":")[2].partition("/")[0]) if line else 0
        finally:
            process.kill()


def child_of(process: subprocess.Popen) -> psutil.Process:
    (child,) = psutil.Process(process.pid).children()
    return child


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more; whoever inherits orphans may take their time to bury one."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("fault", ["hang@1", "spin:60@1", "stop@1"])
def test_an_orphaned_child_ends_by_itself_whatever_it_is_at(fault):
    with daemon("print@1", fault) as (process, port), connect(f"ws://127.0.0.1:{port}/v1/stream") as socket:
        child = child_of(process)
        before = set(os.listdir("/dev/shm"))  # noqa: PTH208
        speak(socket, 10)
        while "a library says something" not in process.stderr.readline():
            pass
        began = time.monotonic()
        process.kill()
        while not has_ended(child):
            with suppress(psutil.TimeoutExpired):
                child.wait(timeout=0.05)

        assert time.monotonic() - began < ORPHAN_S
        assert set(os.listdir("/dev/shm")) == before  # noqa: PTH208


def test_signals_to_everybody_let_running_streams_finish():
    with daemon("slow:0.05@every") as (process, port), connect(f"ws://127.0.0.1:{port}/v1/stream") as socket:
        child = child_of(process)
        speak(socket, 10)  # and no stop
        while json.loads(socket.recv())["type"] != "partial":
            pass
        for number in (signal.SIGINT, signal.SIGTERM):
            child.send_signal(number)
        os.killpg(process.pid, signal.SIGINT)
        said = list(heard(socket))
        _, errors = process.communicate(timeout=30)

    assert process.returncode == Exit.OK
    assert [message["text"] for message in said if message["type"] == "final"][-1].split()[-1] == "1.9"
    assert socket.close_code == 1012
    assert not [line for line in errors.splitlines() if json.loads(line)["level"] == "ERROR"]
    assert not child.is_running()


def speak(socket: ClientConnection, words: int) -> None:
    """Say words, and a little silence that does not end the utterance."""
    socket.send(json.dumps({"type": "start"}))
    for _, samples in list(utterances(1, [words]))[: 3 - PAUSE_FRAMES]:
        socket.send(pcm(samples))


def heard(socket: ClientConnection) -> Iterator[dict]:
    """Yield messages until the server closes."""
    with suppress(ConnectionClosed):
        while True:
            yield json.loads(socket.recv())


@pytest.mark.parametrize(
    ("fault", "code", "complaint"),
    [
        ("refuse@start", Exit.UNAVAILABLE, "the model is not there"),
        ("config@start", Exit.CONFIGURATION, "model.name must be another"),
    ],
)
def test_a_child_that_cannot_start_ends_the_daemon_as_it_would_have_ended_itself(fault, code, complaint):
    with daemon(fault) as (process, port):
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, port) == (code, 0)
    assert complaint in errors.splitlines()[-1]


def test_the_daemon_holds_no_torch_its_child_does():
    with daemon(module=("streamer", "serve", "--model", "demo", "--threads", "1")) as (process, port):
        assert port
        ours, theirs = (Path(f"/proc/{pid}/maps").read_text() for pid in (process.pid, child_of(process).pid))

    assert "libtorch" in theirs
    assert "libtorch" not in ours
