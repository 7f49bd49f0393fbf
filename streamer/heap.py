"""Memory that is free goes back to the system.

glibc gives back the end of its heap only, malloc_trim(3) every whole free page of it. Streams come and go and leave
holes behind; without this, a daemon is forever as large as its worst moment, and that moment comes late.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

PAUSE_S: Final = 30.0


async def keep_small(pause_s: float = PAUSE_S) -> None:
    """Give back what is free, again and again; where the C library cannot (musl, macOS), return at once.

    A trim of a heap of 30 MiB takes a millisecond or two; weights and audio windows are too large to be in it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(pause_s)
        trim(ctypes.c_size_t(0))
