"""A limit of time that someone else can end early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Patience:
    """The limit a task is under at the moment; one at a time."""

    def __init__(self) -> None:
        """Begin with no limit set."""
        self._timeout: asyncio.Timeout | None = None

    @asynccontextmanager
    async def limited(self, seconds: float | None) -> AsyncGenerator[None]:
        """Bound what is inside; None waits until somebody ends it. Raises TimeoutError when it is over."""
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                yield
        finally:
            self._timeout = None

    def shorten(self, seconds: float) -> None:
        """Let the current limit, if there is one, be over in `seconds` from now."""
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)
