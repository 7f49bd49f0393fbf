"""What a child may take of the machine. It is for the kernel to hold: what runs in here may have been taken over."""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final

from streamer.decoding.landlock import shut_in

MEMORY_BYTES: Final = 512 * 2**20
"""Of address space. The program takes 105 MiB of it; the most costly files seen, eight channels of 384 kHz, 40 more."""
MOST_FILES: Final = 16
"""Connection, error output, the file, and what Python opens to tell of an error."""
PR_SET_NO_NEW_PRIVS: Final = 38


def confine() -> None:
    """Give up, for good, what decoding does not need: memory, files, processes, network, core dumps, privileges.

    Nothing can be imported afterwards.
    """
    bound(resource.RLIMIT_CORE, 0)  # it would hold speech
    bound(resource.RLIMIT_FSIZE, 0)
    bound(resource.RLIMIT_NOFILE, MOST_FILES)
    if sys.platform == "linux":  # elsewhere these mean something else, or nothing
        bound(resource.RLIMIT_AS, MEMORY_BYTES)
        bound(resource.RLIMIT_NPROC, 0)
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        shut_in()


def bound(kind: int, most: int) -> None:
    """Set a limit that cannot be raised again, unless there is a lower one."""
    _, hard = resource.getrlimit(kind)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (limit, limit))


def be_first_to_go() -> None:
    """Have the kernel, when it is short of memory, take this process rather than one with everybody's streams."""
    with suppress(OSError):  # there is no /proc; then it takes the largest
        Path("/proc/self/oom_score_adj").write_text("1000")


def allow_processor(seconds: float) -> None:
    """End this process by SIGXCPU after so much more of a processor's time. The parent's clock is the stricter one."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = ceil(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
