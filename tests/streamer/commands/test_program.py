"""The program as a whole: help, mistakes on the command line, exit codes."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from clients.errors import ConnectionLost, StreamError, Unreachable
from model.config import ModelError
from streamer import __version__
from streamer.__main__ import run
from streamer.capture.portaudio import AudioUnavailable
from streamer.commands import devices
from streamer.commands.outcome import CommandError, Exit, expected
from streamer.config import ConfigError
from tests.streamer.commands.console import one_line, sound_file
from tests.streamer.harness import running, sentence

FULL = Path("/dev/full")
COMMANDS = ("serve", "listen", "send", "transcribe", "demo", "devices", "models", "doctor")


def test_the_module_runs_and_knows_its_version():
    done = subprocess.run([sys.executable, "-m", "streamer", "--version"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_starting_up_imports_neither_torch_nor_the_server_nor_portaudio():
    heavy = "{'torch', 'starlette', 'uvicorn', 'sounddevice', 'huggingface_hub'}"
    code = f"import sys, streamer.commands.program; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_without_a_command_the_commands_are_listed(capsys):
    assert run([]) == Exit.OK

    text = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_each_of_its_flags(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")

    assert run([command, "--help"]) == Exit.OK

    text = capsys.readouterr().out
    lines = [line.strip("│ ") for line in text.splitlines() if line.startswith("│ --")]
    assert text.startswith("Usage: streamer")
    assert [line for line in lines if "  " not in line] == []  # a flag without words beside it


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        (["serv"], 'Did you mean "serve"?'),
        (["serve", "--model.nmae", "x"], "Did you mean --model.name?"),
        (["serve", "--port", "many"], 'unable to convert "many" into int'),
        (["serve", "--log.format", "xml"], '"console", "json"'),
        (["send"], "FILE"),
        (["send", "a.wav", "--speed", "-1"], "speed must be 0 (as fast as accepted) or more, got -1"),
        (["demo", "--speed", "nan"], "speed must be 0"),
        (["transcribe", "a", "b", "--format", "srt"], "--output FOLDER"),
        (["transcribe", "x/a.wav", "y/a.flac", "--output", "folder"], "folder/a.txt"),
        (["transcribe", "a", "b", "--output", __file__], "is none"),
    ],
)
def test_a_command_line_that_cannot_be_is_told_in_one_line(capsys, tokens, complaint):
    assert run(tokens) == Exit.USAGE

    assert complaint in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 78),
        (ModelError("x"), 69),
        (AudioUnavailable("x"), 69),
        (Unreachable("x"), 69),
        (StreamError("busy", "x"), 1),
        (ConnectionLost("x"), 1),
        (CommandError("x", Exit.USAGE), 2),
        (ExceptionGroup("tasks", [ExceptionGroup("tasks", [Unreachable("x")])]), 69),
    ],
)
def test_expected_trouble_ends_with_its_exit_code_and_its_message(error, code):
    outcome = expected(error)

    assert outcome is not None
    assert outcome[1] == code
    assert outcome[0].startswith("x")


@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("tasks", [Unreachable("x"), KeyError("x")])])
def test_a_fault_of_ours_is_not_explained_away(monkeypatch, error):
    def broken():
        raise error

    monkeypatch.setattr(devices, "load_portaudio", broken)

    with pytest.raises(type(error)):
        run(["devices"])


def test_interrupting_a_command_is_no_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(devices, "load_portaudio", interrupted)

    assert run(["devices"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == ""


async def test_a_reader_that_leaves_is_no_traceback(tmp_path):
    file = sound_file(tmp_path / "a.wav", sentence(1))
    reading, writing = os.pipe()
    os.close(reading)
    async with running() as server:
        send = [sys.executable, "-m", "streamer", "send", file, "--server", f"127.0.0.1:{server.port}", "--speed", "0"]
        child = partial(subprocess.run, send, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        done = await asyncio.to_thread(child)
    os.close(writing)

    assert done.returncode == Exit.FAILED
    assert done.stderr == ""


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_an_output_that_takes_nothing_is_told_in_one_line():
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamer", "token"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == Exit.FAILED
    assert "the output cannot be written: No space left on device" in one_line(done.stderr)


def test_a_closed_output_is_no_trouble():
    command = 'exec "$0" -m streamer token >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (Exit.OK, "")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_demonstration_that_is_ended_leaves_no_daemon_behind(number, status):
    command = [sys.executable, "-m", "streamer", "demo", "--model.threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stderr if "the daemon listens on" in line)
        process.send_signal(number)
        _, rest = process.communicate()  # the daemon has the same standard error
    address = re.search(r"ws://127.0.0.1:(\d+)", line)

    assert (process.returncode, rest) == (status, "")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address[1]))) == errno.ECONNREFUSED
