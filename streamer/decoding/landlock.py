"""A process that gives up files and the network for good. Source: landlock(7), linux/landlock.h."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

CREATE_RULESET: Final = 444
RESTRICT_SELF: Final = 446
"""Numbers of the system calls, for which there are no functions in the C library."""
VERSION: Final = 1
"""A flag: ask which version the kernel has."""
FILES: Final = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many rights to files there are from a version on: to execute, write, read, list, remove, make …"""
SIZES: Final = {1: 8, 4: 16, 6: 24}
"""Bytes of the rule set from a version on."""


class RuleSet(ctypes.Structure):
    """struct landlock_ruleset_attr: what is forbidden unless a rule allows it, and here there are none."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


def shut_in() -> bool:
    """Forbid this process to open any file, to use TCP, and to signal, trace or look into processes but its own.

    What is open stays so. Says whether the kernel knows how; no new privileges must have been given up before.
    """
    if sys.platform != "linux":
        return False
    system = ctypes.CDLL(None, use_errno=True).syscall
    version = system(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    if version < 1:
        return False
    rules = RuleSet((1 << newest(FILES, version)) - 1, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    descriptor = system(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(newest(SIZES, version)), 0)
    if descriptor < 0:
        return False
    restricted: int = system(RESTRICT_SELF, descriptor, 0)
    os.close(descriptor)
    return restricted == 0


def newest(table: dict[int, int], version: int) -> int:
    """Return what holds for a version."""
    return table[max(since for since in table if since <= version)]
