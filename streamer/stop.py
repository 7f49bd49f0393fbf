"""The wish that the daemon ends, and how it reaches what is being waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Stop:
    """Asked for by a signal, at any moment."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._limit: asyncio.Timeout | None = None

    def ask(self) -> None:
        """End what can be interrupted now; the rest looks at `asked`."""
        self.asked.set()
        if self._limit is not None:
            self._limit.reschedule(0)
            self._limit = None

    @asynccontextmanager
    async def interrupts(self) -> AsyncGenerator[None]:
        """Leave the block as soon as it is asked for, by cancelling what is awaited there; go on behind it."""
        limit = asyncio.timeout(0 if self.asked.is_set() else None)
        try:
            async with limit:
                if not self.asked.is_set():
                    self._limit = limit
                yield
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._limit = None
