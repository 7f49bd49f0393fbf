"""How many sessions there may be, and how all of them are brought to an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from streamer.connection.connection import Connection
from streamer.connection.patience import Patience
from streamer.core.commands import Close, ErrorCode, ProtocolError
from streamer.core.events import Warned
from streamer.metrics import Metrics

logger = logging.getLogger(__name__)

CUT_S = 15.0
"""Time a session has to end after it was cut off: longer than a client may take to take its last messages."""


class Admission:
    """The sessions that are open."""

    def __init__(
        self,
        max_sessions: int,
        recognizing: Callable[[], bool],
        metrics: Metrics,
        has_room_for: Callable[[int], bool] = lambda _: True,
        has_memory: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take the bound.

        recognizing: tells whether a stream would be recognised now; has_room_for: whether there is time for so many
        more of them; has_memory: whether, as far as is known, one more would not be one too many.
        """
        self._max_sessions = max_sessions
        self._recognizing = recognizing
        self._metrics = metrics
        self._has_room_for = has_room_for
        self._has_memory = has_memory
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._patience = Patience()
        self._cut = False
        self.draining = False
        """Whether the server is ending and takes no new streams."""

    @property
    def count(self) -> int:
        """Sessions open now; those whose client is away do not count."""
        return sum(connection.counts for connection in self._connections)

    @property
    def ready(self) -> bool:
        """Whether streams are taken, if there is room."""
        return not self.trouble and not self.draining

    @property
    def trouble(self) -> str:
        """Why nothing new would be recognised now, however much room there is; empty if it would."""
        if not self._recognizing():
            return "recognition is not available"
        if not self._has_memory():
            return "recognition ran out of memory a moment ago"
        return ""

    def refusal(self, streams: int = 1) -> ProtocolError | None:
        """Return why so many more sessions, of one client, are not taken, or None."""
        if self.draining:
            return ProtocolError(ErrorCode.SHUTTING_DOWN, "the server is going away", Close.RESTARTING)
        if trouble := self.trouble:
            code = ErrorCode.OVERLOADED if self._recognizing() else ErrorCode.NOT_READY
            return ProtocolError(code, f"{trouble}; try later", Close.TRY_LATER)
        if self.count >= self._max_sessions:
            complaint = f"all {self._max_sessions} sessions are taken; try later"
            return ProtocolError(ErrorCode.BUSY, complaint, Close.TRY_LATER)
        if self.count + streams > self._max_sessions:
            complaint = f"{self._max_sessions - self.count} of {self._max_sessions} sessions are free, not {streams}"
            return ProtocolError(ErrorCode.BUSY, f"{complaint}; try later", Close.TRY_LATER)
        if not self._has_room_for(streams):
            left = "all the time there is" if streams == 1 else f"too much of the time for {streams} more"
            complaint = f"{self.count} sessions take {left}; try later"
            return ProtocolError(ErrorCode.OVERLOADED, complaint, Close.TRY_LATER)
        return None

    @contextmanager
    def admitted(self, connection: Connection) -> Generator[None]:
        """Count a connection among the sessions while it lives."""
        self._connections.add(connection)
        self._metrics.came()
        try:
            yield
        finally:
            self._connections.remove(connection)
            if not self._connections:
                self._empty.set()

    def warn(self, warning: Warned) -> None:
        """Tell all sessions."""
        for connection in self._connections:
            connection.warn(warning)

    async def drain(self, timeout_s: float) -> None:
        """Take no more streams, let those that are open finish, and cut off what is left after `timeout_s`."""
        self.draining = True
        for connection in self._connections:
            connection.drain()
        over = await self._is_over_in(min(timeout_s, CUT_S) if self._cut else timeout_s)
        if not over and not self._cut:
            logger.warning("drain timeout: %d sessions are cut off", self.count)
            self.cut()
            over = await self._is_over_in(CUT_S)
        if not over:
            names = ", ".join(connection.id for connection in self._connections)
            logger.error("sessions that were cut off do not end: %s are dropped", names)
            for connection in self._connections:
                connection.drop()

    def cut(self) -> None:
        """End all sessions now."""
        self._cut = True
        for connection in self._connections:
            connection.cut()
        self._patience.shorten(CUT_S)

    async def _is_over_in(self, seconds: float) -> bool:
        """Wait for the last session to end; say whether it did in time."""
        with suppress(TimeoutError):
            async with self._patience.limited(seconds):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        return not self._connections
