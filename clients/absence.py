"""The time without a server, of a stream that tries to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Absence:
    """Unbounded at first; whoever wants to leave bounds it, over all attempts until one gets further."""

    def __init__(self, most_s: float) -> None:
        """`most_s` is how long it lasts at most once it is bounded."""
        self._most_s = self._left_s = most_s
        self._timeout: asyncio.Timeout | None = None  # while there is no connection

    def renew(self) -> None:
        """Begin anew with all of the time."""
        self._left_s = self._most_s

    @asynccontextmanager
    async def passing(self) -> AsyncGenerator[None, None]:
        """Be without a server from now until `end`. Raises TimeoutError when the time is up."""
        try:
            async with asyncio.timeout(None) as self._timeout:
                yield
        finally:
            self._timeout = None

    def bound(self) -> None:
        """Let it last no longer than what is left of the time; said a second time it changes nothing."""
        if self._timeout is not None and self._timeout.when() is None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left_s)

    def end(self) -> None:
        """Take note that there is a connection."""
        if self._timeout is None:
            return
        when = self._timeout.when()
        if when is not None:
            self._left_s = when - asyncio.get_running_loop().time()
        self._timeout.reschedule(None)
        self._timeout = None
