"""Calls that block, off the event loop, and never left behind: a file is not closed under the thread that reads it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")
Stopped = Callable[[], bool]
"""Says whether nobody wants the result any more; asked between two steps of a long call."""


async def off_loop(function: Callable[[Stopped], Result]) -> Result:
    """Return what the function returns, or raise what it raises; run it in a thread.

    If cancelled, tell the function, wait for its end, and only then be cancelled.
    """
    stop = threading.Event()
    call = asyncio.ensure_future(asyncio.to_thread(function, stop.is_set))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        stop.set()
        while not call.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # nobody is there to hear of it
        raise
