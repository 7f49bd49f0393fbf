"""`streamer doctor`: what works on this machine, and what to install."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.config import ModelError
from model.files.hub import resolve
from streamer import __version__
from streamer.capture.portaudio import AudioUnavailable, find_input, load_portaudio
from streamer.commands.outcome import Exit
from streamer.commands.serve import check_address
from streamer.config import Config, ConfigError
from streamer.network.listening import AddressError

DEFAULTS = Config()
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    detail: str
    needed: bool = True
    """Whether recognition of files and network streams needs it."""


def doctor(*, settings: Annotated[Config, Parameter(name="*")] = DEFAULTS) -> int:
    """Look at what the program needs on this machine; say what to install. Exit code 69 if the basics fail.

    Without a microphone everything else works, so what concerns it only is no failure.

    Args:
        settings: The model and the port to look at, among others.
    """
    console = Console(soft_wrap=True)
    findings = list(examine(settings))
    table = Table(box=None, show_header=False)
    for finding in findings:
        mark = "[green]good[/]" if finding.good else "[red]bad[/]" if finding.needed else "[yellow]missing[/]"
        table.add_row(mark, finding.what, Text(finding.detail))
    console.print(table)
    return Exit.OK if all(finding.good or not finding.needed for finding in findings) else Exit.UNAVAILABLE


def examine(settings: Config) -> Iterator[Finding]:
    """Look at one thing after the other."""
    yield Finding("program", good=True, detail=f"streamer {__version__}, Python {platform.python_version()}")
    yield look("sound files", sound_files)
    yield look("torch", lambda: torch_device(settings))
    yield look("model", lambda: model(settings))
    yield look("port", lambda: port(settings))
    portaudio = look("PortAudio", lambda: str(load_portaudio().get_portaudio_version()[1]), needed=False)
    yield portaudio
    if portaudio.good:
        yield look("microphone", lambda: microphone(settings), needed=False)


def look(what: str, check: Callable[[], str], *, needed: bool = True) -> Finding:
    """Run a check; what it raises for its purpose is the finding."""
    try:
        return Finding(what, good=True, detail=check(), needed=needed)
    except (AddressError, AudioUnavailable, ConfigError, ModelError, ImportError, OSError, RuntimeError) as error:
        return Finding(what, good=False, detail=str(error), needed=needed)


def sound_files() -> str:
    """Say which library reads sound files."""
    return str(import_module("soundfile").__libsndfile_version__)


def torch_device(settings: Config) -> str:
    """Say where recognition will run. Raises ModelError for a device or a precision that cannot be had."""
    torch, choice = import_module("torch"), import_module("model.device")
    device = choice.choose_device(settings.model.device)
    choice.choose_precision(settings.model.precision, device)
    if device.type == "cpu":
        sees = "it sees a GPU, which is not to be used" if torch.cuda.is_available() else "it sees no GPU"
        return f"torch {torch.__version__} on {torch.get_num_threads()} CPU threads; {sees}"
    name = torch.cuda.get_device_name(device)
    free, total = torch.cuda.mem_get_info(device)
    return f"torch {torch.__version__} on {name}, {free // MEBIBYTE} of {total // MEBIBYTE} MiB free"


def model(settings: Config) -> str:
    """Say which model would be taken, asking no network."""
    source = resolve(settings.model.name, offline=True)
    return f"{source.name} in {source.path}" + (f"; {source.notice}" if source.notice else "")


def microphone(settings: Config) -> str:
    """Say which device would be recorded, and whether the daemon does."""
    name = find_input(load_portaudio(), settings.microphone.device or None).name
    return f"{name}; streamer serve {'records it' if settings.microphone.enabled else '--microphone would record it'}"


def port(settings: Config) -> str:
    """Say whether the daemon could listen."""
    check_address(settings.server)
    return f"{settings.server.host} port {settings.server.port} is free"
