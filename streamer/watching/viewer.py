"""Someone who watches a broadcast, at their own speed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from streamer.watching.broadcast import Broadcast


class LostPlaceError(Exception):
    """A viewer is further behind than the broadcast's log is long."""


class Viewer:
    """A place in a broadcast. What is held for a viewer is a number or two: everything else is the broadcast's."""

    def __init__(self, broadcast: Broadcast) -> None:
        """Join; of what was said before next() gives a partial that is still valid, and of an ended session the end."""
        self.broadcast = broadcast
        self.skipped = 0
        """Partials that this viewer was not shown, because a newer one or a commit was there first."""
        self.left = False
        """Whether nobody is there any more."""
        self._place = broadcast.log.last - (broadcast.ended is not None)
        self._partial = broadcast.partials - (broadcast.partial is not None)
        self._news = asyncio.Event()
        broadcast.join(self._news.set)

    def leave(self) -> None:
        """Watch no more, and wake who waits for news."""
        self.left = True
        self.broadcast.leave(self._news.set)
        self._news.set()

    def next(self) -> str | None:
        """Return the next message of the native protocol, None for now if there is none. Raises LostPlaceError."""
        log = self.broadcast.log
        if self._place < log.gone:
            raise LostPlaceError
        if self._place < log.last:
            self._place += 1
            return log.item(self._place)
        partial, number = self.broadcast.partial, self.broadcast.partials
        if partial is None or number == self._partial:
            return None
        self.skipped += number - self._partial - 1
        self._partial = number
        return partial

    async def news(self, patience_s: float | None = None) -> bool:
        """Wait until there may be something new; return False if `patience_s` went by first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._news.wait()
        came = self._news.is_set()
        self._news.clear()
        return came
