"""A journal as the event loop sees it: notes that are awaited, sessions that are looked up, and how it fares."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from streamer.config import JournalConfig
from streamer.journal.database import in_memory, lock
from streamer.journal.inbox import Item
from streamer.journal.records import Entry, Standing
from streamer.journal.scribe import Scribe
from streamer.journal.writes import Note, Query, SilentError

PATIENCE_S = 1.0
"""Captions wait this long for the disk, then they go on without it."""


class Journal:
    """One daemon's journal. Everything is asked on the event loop and done on the scribe's thread."""

    def __init__(self, config: JournalConfig, observe: Callable[[float], None] = lambda _: None, **scribe: Any) -> None:
        """Open it; `observe` hears how long each transaction took, in seconds, on another thread.

        Raises ConfigError if another daemon has it, or if the file cannot be a journal of this version.
        """
        self._lock: IO[bytes] | None = None
        self._open: set[str] = set()
        self._late = False
        self.on_disk = not in_memory(config)
        """Whether it outlives the daemon."""
        if self.on_disk and config.path is not None:
            with suppress(OSError):  # the file cannot be written either; the scribe says so and tries again
                self._lock = lock(config.path)
        try:
            self._scribe = Scribe(config, open_sessions=lambda: frozenset(self._open), observe=observe, **scribe)
        except BaseException:
            self._unlock()
            raise

    @property
    def epoch(self) -> str:
        """Name of the journal: a session of another one is not known here."""
        return self._scribe.epoch

    @property
    def failing(self) -> bool:
        """Whether the last write did not succeed, or is not answered in time."""
        return self._scribe.failing or self._late

    @property
    def outlives_daemon(self) -> bool:
        """Whether what is noted would still be known if the daemon ended now."""
        return self.on_disk and not self.failing

    @property
    def waiting(self) -> int:
        """Writes that wait."""
        return self._scribe.waiting

    @property
    def failures(self) -> int:
        """Transactions that failed."""
        return self._scribe.failures

    @property
    def dropped(self) -> int:
        """Writes that were given up."""
        return self._scribe.dropped

    async def note(self, note: Note) -> bool:
        """Write something down; return whether it is on the disk. In memory nothing ever is."""
        self._open.add(note.session)
        failing = self.failing
        future = self._ask(note)
        if failing:
            return False  # it is kept, and written when that is possible again
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await future and self.on_disk
        except TimeoutError:
            self._late = True  # until the disk answers nobody else waits for it
            return False

    async def find(self, session: str, commit: int = 0, token: bytes | None = None) -> Standing | None:
        """Return how a session stands; None if it is not known (any more), or not with this token.

        Of its entries, those that whoever has everything up to a commit does not have are there, maybe more; `token` is
        the hash of a stranger's, None if the daemon asks.

        Raises SilentError if that cannot be said at the moment, or the disk does not answer in time.
        """
        return await self._answer(Query(session, commit, token))

    async def read(self, session: str, numbers: range) -> list[Entry]:
        """Return a session's entries with these numbers, if they are there. Raises SilentError as `find` does."""
        standing = await self._answer(Query(session, numbers=numbers))
        return [entry for entry in standing.entries if entry.number in numbers] if standing else []

    def release(self, session: str) -> None:
        """Say that a session is not open any more: retention counts from its last note."""
        self._open.discard(session)

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._scribe.close()
        self._unlock()

    async def _answer(self, query: Query) -> Standing | None:
        try:
            async with asyncio.timeout(5 * PATIENCE_S):
                standing: Standing | None = await self._ask(query)
        except TimeoutError:
            raise SilentError("the disk does not answer") from None
        return standing

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _ask(self, work: Note | Query) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(answer: Any) -> None:
            self._late = False
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        def answer(found: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, found)

        self._scribe.put(Item(work, answer, wanted=lambda: not future.done()))
        return future


def hashed(token: str) -> bytes:
    """Return what is kept of a token: 128 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).digest()
