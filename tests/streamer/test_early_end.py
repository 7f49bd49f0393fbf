"""A daemon that is told to end before it serves: while it imports, while its model loads, while that warms up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import trustme

from streamer.__main__ import command_of
from tests.certificates import issue
from tests.faulty.child import ROOT

SIGNALS = [signal.SIGTERM, signal.SIGINT]
SLOW = """
import os, time
os.write(2, b"here\\n")
time.sleep(100)
"""

UNTIL_HANGUP = """
import importlib, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a shell may have had it ignored
os.write(2, b"here\\n")
while not signal.sigpending():
    pass
sys.path = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
del sys.modules[__name__]
importlib.import_module(__name__)
"""
"""Goes on when it is told, as what it stands for, if it is not ended."""


@contextmanager
def started(*command: str, path: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Start a daemon, with a folder whose modules go before those that are installed."""
    flags = ["--server.port", "0", "--log.format", "json", "--log.level", "WARNING"]
    environment = os.environ | {"PYTHONPATH": str(path)}
    with subprocess.Popen(
        [sys.executable, "-m", *command, *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_it_says(process: subprocess.Popen[str], words: str) -> None:
    """Read standard error up to a line."""
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, "it ended before"


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Signal the whole group, as a terminal does; return how it ended and what it said."""
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


@pytest.mark.parametrize(("module", "number"), list(zip(["cyclopts", "uvicorn"], SIGNALS, strict=True)))
def test_a_daemon_that_is_still_importing_ends_without_a_word(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    (tmp_path / f"{module}.py").write_text(SLOW)
    with started("streamer", "serve", "--model", "demo", path=tmp_path) as process:
        until_it_says(process, "here")

        assert end(process, number) == (0, "", "")


@pytest.mark.parametrize("module", ["cyclopts", "uvicorn"])
def test_a_daemon_that_is_still_importing_is_not_ended_by_a_call_to_read_its_certificate_again(
    tmp_path: Path, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(SLOW)
    papers = issue(tmp_path, trustme.CA())
    secure = ["--server.tls-certificate", str(papers.certificate), "--server.tls-key", str(papers.key)]
    with started("streamer", "serve", "--model", "demo", *secure, path=tmp_path) as process:
        until_it_says(process, "here")
        process.send_signal(signal.SIGHUP)

        assert end(process, signal.SIGTERM) == (0, "", "")


@pytest.mark.parametrize("module", ["cyclopts", "uvicorn"])
def test_without_a_certificate_a_terminal_that_goes_ends_a_daemon_that_is_still_importing(
    tmp_path: Path, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(UNTIL_HANGUP)
    with started("streamer", "serve", "--model", "demo", path=tmp_path) as process:
        until_it_says(process, "here")

        assert end(process, signal.SIGHUP) == (-signal.SIGHUP, "", "")


@pytest.mark.parametrize(("fault", "number"), list(zip(["spin@start", "stop@start"], SIGNALS, strict=True)))
def test_a_daemon_whose_model_is_being_loaded_ends_with_its_child(fault: str, number: signal.Signals) -> None:
    faults = ("--fault", "print@start", "--fault", fault)
    with started("tests.faulty.daemon", *faults, "--wyoming.enabled", "--wyoming.port", "0") as process:
        until_it_says(process, "a library says something")
        (child,) = psutil.Process(process.pid).children()

        assert end(process, number) == (0, "", "")
        assert not child.is_running()


def test_a_daemon_whose_child_is_still_importing_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(SLOW)
    with started("streamer", "serve", "--model", "demo", path=tmp_path) as process:
        until_it_says(process, "here")
        (child,) = psutil.Process(process.pid).children()

        assert end(process, signal.SIGTERM) == (0, "", "")
        assert not child.is_running()


def test_a_model_that_is_loaded_in_the_daemons_own_process_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(SLOW)
    with started("streamer", "serve", "--model", "demo", "--worker.process", "own", path=tmp_path) as process:
        until_it_says(process, "here")

        assert end(process, signal.SIGTERM) == (0, "", "")


def test_a_daemon_whose_first_decode_hangs_ends() -> None:
    with started("tests.faulty.daemon", "--fault", "print@after=-1", "--fault", "hang@after=-1") as process:
        until_it_says(process, "a library says something")
        (child,) = psutil.Process(process.pid).children()

        assert end(process, signal.SIGTERM) == (0, "", "")
        assert not child.is_running()


@pytest.mark.parametrize(
    ("tokens", "command"),
    [
        (["serve", "--model", "demo"], "serve"),
        (["--config", "serve", "transcribe", "serve"], "transcribe"),
        (["--config=x", "serve"], "serve"),
        (["--version"], ""),
        ([], ""),
    ],
)
def test_the_command_is_known_before_anything_is_imported(tokens: list[str], command: str) -> None:
    assert command_of(tokens) == command
