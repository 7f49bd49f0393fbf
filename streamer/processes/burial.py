"""The end of a child process, seen to by its parent."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def bury(process: asyncio.subprocess.Process, patience_s: float) -> int | None:
    """Wait `patience_s` for a process to end that should; kill it if it does not, and wait as long again.

    Returns its exit status, None if the kernel cannot end it yet: it is in a call of a driver.
    """
    for _ in range(2):
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):  # wait_for loses a cancellation in the moment of the end
                return await process.wait()
        with suppress(ProcessLookupError):
            process.kill()
    return None
