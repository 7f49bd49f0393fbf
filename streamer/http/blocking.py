"""Calls that block, off the event loop, and never left behind: a file is not closed under the thread that writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


async def off_loop(function: Callable[[], Result]) -> Result:
    """Return what the function returns, or raise what it raises; run it in a thread. It takes no long time.

    If cancelled, wait for its end, and only then be cancelled.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # nobody is there to hear of it
        raise
