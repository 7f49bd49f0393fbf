"""The way back to a server after a connection has failed: whether there is one, when to try it, when to give it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from clients.absence import Absence
from clients.errors import ConnectionLost
from clients.patience import Patience
from clients.prospects import Prospects
from clients.receipts import Receipts

ENDING_S = 10.0
"""Time in which a server must come back for the last words of a live source."""


class ReturnPath:
    """Of one stream, which tells how its connections and its attempts to make one end."""

    def __init__(self, receipts: Receipts, notice: Callable[[str], None], give_up_s: float | None) -> None:
        """`receipts` say how far the stream got; `give_up_s` without getting any further are enough, None for never."""
        self.resumable = False
        """Whether the server lets the session go on over another connection; as the last connection said."""
        self._receipts = receipts
        self._notice = notice
        self._give_up_s = give_up_s
        self._patience = Patience(give_up_s)
        self._prospects = Prospects()
        self._absence = Absence(ENDING_S)

    @asynccontextmanager
    async def taken(self, failure: Exception) -> AsyncGenerator[None, None]:
        """Be on the way back from the failure of a connection until `arrive`.

        Raises the failure if another connection would not go better, ConnectionLost if it was tried for long enough.
        """
        now = asyncio.get_running_loop().time()
        if self._patience.lose(now, self._receipts.covered):
            self._absence.renew()
        self._check(failure, now)
        self._notice(f"connection lost ({failure}): trying again")
        try:
            async with self._absence.passing():
                yield
        except TimeoutError:
            raise ConnectionLost(f"without the server the last words may be missing: {failure}") from None

    def hurry(self) -> None:
        """Take no longer than ENDING_S, from now on."""
        self._absence.bound()

    async def wait(self) -> None:
        """Wait for the time of the next attempt."""
        await asyncio.sleep(self._patience.wait())

    def arrive(self) -> None:
        """Take note that there is a connection again."""
        self._notice("connected again")
        self._patience.connect(asyncio.get_running_loop().time())
        self._absence.end()

    def fail(self, failure: Exception) -> None:
        """Take note of an attempt that failed. Raises as `taken`."""
        if isinstance(failure, ConnectionLost):
            self._prospects.abandon()
        self._check(failure, asyncio.get_running_loop().time())

    def _check(self, failure: Exception, now: float) -> None:
        if not (self.resumable and self._prospects.are_good(failure, self._receipts.covered)):
            raise failure
        if self._patience.is_over(now):
            raise ConnectionLost(f"gave up after {self._give_up_s:g} s without getting any further: {failure}")
