"""What keeps a journal within its bounds of age and size, a little at a time, and by a clock that may be set back."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Collection

from streamer.config import JournalConfig
from streamer.journal.database import PAGE_BYTES, value
from streamer.journal.writes import bury, doom, expired, latest, settle

SWEPT = 50
"""Sessions given up at once."""


class Housekeeping:
    """Chooses what a journal forgets and forgets it; on the thread of its database, which every method is given."""

    def __init__(
        self,
        config: JournalConfig,
        *,
        open_sessions: Callable[[], Collection[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`open_sessions` are kept whatever their age; `now` gives seconds, of a clock that may be set back."""
        self._config = config
        self._open_sessions = open_sessions
        self._now = now
        self._latest = 0.0  # time that the clock said last
        self.dirty = False
        """Whether something is given up that is not yet gone from the file."""

    def begin(self, database: sqlite3.Connection) -> None:
        """Take up a database that has just been opened."""
        self._latest = latest(database)

    def time(self, database: sqlite3.Connection) -> float:
        """Return the time; where the clock was set back since it was asked last, nothing was heard of after that."""
        now = self._now()
        if now < self._latest:
            settle(database, now)
        self._latest = now
        return now

    def too_large(self, database: sqlite3.Connection) -> bool:
        """Say whether what is kept takes more room than is allowed."""
        pages = int(value(database, "page_count")) - int(value(database, "freelist_count"))
        return pages * PAGE_BYTES > self._config.max_bytes

    def tidy(self, database: sqlite3.Connection, *, sweep: bool) -> None:
        """Forget some of what is too old or too much; `sweep`: look for it first. Raises sqlite3.Error."""
        if sweep:
            self._doom(database)
        if bury(database):
            self.dirty = True
        elif self.dirty:
            database.execute("PRAGMA incremental_vacuum").fetchall()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.dirty = False

    def _doom(self, database: sqlite3.Connection) -> None:
        now, open_sessions = self.time(database), self._open_sessions()
        excess = self.too_large(database)
        # Of what was heard of this very moment too: after the clock was set back that may be everything.
        old = expired(database, math.inf if excess else now - self._config.retention_s, SWEPT + len(open_sessions))
        for session in [session for session in old if session not in open_sessions][: 1 if excess else SWEPT]:
            doom(database, session)
            self.dirty = True
