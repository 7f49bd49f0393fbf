"""What the daemon's child processes have in common: how little they are told, and that none outlives the daemon."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final, NoReturn

PRIVATE = ("STREAMER_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")
"""How variables begin that are the daemon's alone: tokens, and what the service manager has to say to it."""
PR_SET_PDEATHSIG: Final = 1


def program(module: str) -> tuple[str, ...]:
    """Return the command line of a child; -P, for a folder named model where the daemon was started is not ours."""
    return (sys.executable, "-P", "-m", module)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the daemon without those that are no child's business."""
    return {name: value for name, value in variables.items() if not name.startswith(PRIVATE)}


def leave_signals_to_parent() -> None:
    """Ignore what a terminal or a service manager sends to all of a group: the parent decides when a child ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, even if it hangs or is stopped. Source: prctl(2).

    Linux only; elsewhere a child finds out when it next says something.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        leave()


def leave(status: int = 0) -> NoReturn:
    """End this process now. What runs at a normal exit may hang in a driver, and nothing here needs it."""
    os._exit(status)


def fate(status: int | None) -> str:
    """Name what a process came to that ended unasked, from its status as `ending`: a member of every `Cause`."""
    if status is None:
        return "garbled"
    if status >= 0:
        return "exited"
    return "killed" if -status == signal.SIGKILL else "crashed"


def ending(status: int | None) -> str:
    """Say how a process ended, from its status as `subprocess` gives it; None if it is not known."""
    if status is None:
        return "it closed its connection and did not end"
    if status >= 0:
        return f"it ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was ended by {name}"
