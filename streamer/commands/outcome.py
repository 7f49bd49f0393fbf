"""How a command ends: exit codes, and which trouble means which."""

from __future__ import annotations

import errno
from enum import IntEnum

from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.file import FileError
from model.config import ModelError
from streamer.capture.portaudio import AudioUnavailable
from streamer.config import ConfigError
from streamer.network.listening import AddressError
from streamer.recognition.runner import EngineError
from streamer.worker.supervisor import WorkerError


class Exit(IntEnum):
    """Exit codes; 69 and 78 are EX_UNAVAILABLE and EX_CONFIG of sysexits.h, which systemd understands too."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    """Something that is needed is not there: a model, a library, a device, a port, a server."""
    CONFIGURATION = 78
    INTERRUPTED = 130
    """128 + SIGINT, as a shell has it."""


class CommandError(Exception):
    """A command cannot do what it was asked for; the message is for the user, without a traceback."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


EXPECTED: dict[type[Exception], Exit] = {
    ConfigError: Exit.CONFIGURATION,
    ModelError: Exit.UNAVAILABLE,
    AddressError: Exit.UNAVAILABLE,
    AudioUnavailable: Exit.UNAVAILABLE,
    Unreachable: Exit.UNAVAILABLE,
    EngineError: Exit.FAILED,
    WorkerError: Exit.FAILED,
    StreamError: Exit.FAILED,
    ConnectionLost: Exit.FAILED,
    FileError: Exit.FAILED,
}
"""Trouble that is explained by its message alone."""


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says of an output that takes nothing (more)."""


def is_output(error: BaseException) -> bool:
    """Say whether what went wrong is that the output cannot be written."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_output(inner) for inner in error.exceptions)
    return isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or error.errno in UNWRITABLE)


def expected(error: BaseException) -> tuple[str, Exit] | None:
    """Return message and exit code of a trouble that needs no traceback, None for a fault of ours.

    The message is empty if nobody is left to read the output.
    """
    if isinstance(error, BaseExceptionGroup):
        # Tasks that fail together have one cause as a rule; a fault of ours among them is not to be hidden.
        outcomes = [expected(inner) for inner in error.exceptions]
        return outcomes[0] if all(outcomes) else None
    if isinstance(error, CommandError):
        return str(error), error.code
    if isinstance(error, OSError) and is_output(error):
        nobody = isinstance(error, BrokenPipeError)
        return "" if nobody else f"the output cannot be written: {error.strerror}", Exit.FAILED
    for kind, code in EXPECTED.items():
        if isinstance(error, kind):
            return str(error), code
    return None
