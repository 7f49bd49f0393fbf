"""The thread that owns a journal's database: it writes what others hand in, many at a time, and tidies up when idle.

Theory of operation. Whatever waits in the queue when the disk is free is written in one transaction: while one is being
synced the next gathers, so the disk is never asked twice for what it could do once, and nobody waits for a timer.

A write that fails (disk full, read-only, locked, gone) is kept and tried again; its sender is told at once that it does
not stand, and so is everyone after it, without waiting, until one has succeeded. What is kept is bounded, and so is
what waits while the disk says nothing (`inbox.py`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from streamer.config import ConfigError, JournalConfig
from streamer.journal.database import corrupt, in_memory, move_aside, open_database
from streamer.journal.housekeeping import Housekeeping
from streamer.journal.inbox import Inbox, Item
from streamer.journal.records import EntryError, Standing, reach
from streamer.journal.writes import Note, Query, SilentError, find, merged

logger = logging.getLogger(__name__)

MOST_KEPT = 20_000
"""Writes that wait for a disk that refuses them, and as many for one that hangs; beyond it the oldest are dropped."""
GROUP = 1024
"""Writes in one transaction."""
RETRY_S = 1.0
SWEEP_S = 5.0


class Scribe:
    """One journal's writer; everything but `put` and `close` runs on its own thread."""

    def __init__(
        self,
        config: JournalConfig,
        *,
        open_sessions: Callable[[], Collection[str]],
        observe: Callable[[float], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        opener: Callable[[JournalConfig], sqlite3.Connection] = open_database,
    ) -> None:
        """`open_sessions` are kept whatever their age; `observe` hears how long each transaction took, in seconds.

        Raises ConfigError for a file that cannot be a journal of this version; what may pass is tried again later.
        """
        self._config = config
        self._housekeeping = Housekeeping(config, open_sessions=open_sessions, now=now)
        self._observe = observe
        self._now = now
        self._opener = opener
        self._inbox = Inbox(MOST_KEPT)
        self._kept: deque[Note] = deque()
        self._refused: list[Note] = []  # by the journal, in the last transaction
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._overflowing = False
        self.failing = False
        """Whether the last write did not succeed."""
        self.failures = 0
        """Transactions that failed."""
        self._dropped = 0
        self.epoch = ""
        """Names the journal; another one after it was lost."""
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Writes that were given up: too many waited, or the journal cannot take them."""
        return self._dropped + self._inbox.dropped

    @property
    def waiting(self) -> int:
        """Writes that wait."""
        return len(self._inbox) + len(self._kept)

    def put(self, item: Item) -> None:
        """Hand something in; from any thread."""
        self._inbox.put(item)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits and end; a disk that hangs is left behind."""
        self._inbox.put(Item(None, lambda _: None))
        self._thread.join(timeout_s)

    def _run(self) -> None:
        swept = self._now()
        while True:
            items = self._inbox.take(GROUP, RETRY_S if self._kept or self._housekeeping.dirty else SWEEP_S)
            ending = any(item.work is None for item in items)
            try:
                self._serve(items)
                due = not items or abs(self._now() - swept) >= SWEEP_S
                if not ending and (due or self._housekeeping.dirty):
                    self._tidy(sweep=due)
                if due:
                    swept = self._now()
            except Exception:
                logger.exception("the journal failed")
                self.failing = True
            if ending:
                break
        if self._database is not None:
            self._database.close()

    def _serve(self, items: list[Item]) -> None:
        """Write what is to be written, then answer."""
        writers = [item for item in items if isinstance(item.work, Note)]
        self._kept.extend(item.work for item in writers if isinstance(item.work, Note))
        while len(self._kept) > MOST_KEPT:
            self._kept.popleft()
            self._dropped += 1
            if not self._overflowing:
                logger.error("%d writes wait for the journal's disk: the oldest are dropped", MOST_KEPT)
            self._overflowing = True
        stands = self._write() if self._kept else True
        for item in writers:
            item.answer(stands and not any(item.work is write for write in self._refused))
        if writers and stands and self._database is not None and self._housekeeping.too_large(self._database):
            self._tidy()
        for item in items:
            if isinstance(item.work, Query) and item.wanted():
                item.answer(self._find(item.work))

    def _write(self) -> bool:
        """Write everything that waits in one transaction; say whether it stands, but for what the journal refuses."""
        begun = time.perf_counter()
        try:
            database = self._opened()
            now = self._housekeeping.time(database)
            database.execute("BEGIN IMMEDIATE")
            try:
                self._apply(database, now)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except Exception as error:  # noqa: BLE001  # whoever waits for an answer gets one; `_fail` logs what is ours
            self._fail(error)
            return False
        self._kept.clear()
        self._observe(time.perf_counter() - begun)
        if self.failing:
            logger.warning("the journal is written again")
        self.failing = self._overflowing = False
        return True

    def _apply(self, database: sqlite3.Connection, now: float) -> None:
        self._refused.clear()
        for write in tuple(self._kept):
            database.execute("SAVEPOINT step")
            try:
                write.apply(database, now)
            except Exception as error:
                if ails_the_disk(error):
                    raise
                # It would fail every time: one session's trouble is not the others'.
                database.execute("ROLLBACK TO step")
                logger.exception("a write that the journal cannot take is dropped")
                self._dropped += 1
                self._refused.append(write)
            database.execute("RELEASE step")

    def _find(self, query: Query) -> Standing | SilentError | None:
        """Return how a session stands, with what is not written yet."""
        notes = [write for write in self._kept if write.session == query.session]
        try:
            return merged(find(self._opened(), query), notes)
        except EntryError:
            logger.exception("a session that the journal holds cannot be read")
            return None  # today or tomorrow
        except Exception as error:  # noqa: BLE001  # as in a write
            self._fail(error)
            unwritten = merged(None, notes)
            # A part of a session looks like a whole one to its client, which would never hear of the rest.
            whole = unwritten is not None and reach(unwritten.entries, query.commit)
            return unwritten if whole else SilentError(str(error))

    def _opened(self) -> sqlite3.Connection:
        """Return the database, opened again if it was lost or somebody has removed its file."""
        if self._database is not None and self._file != self._file_now():
            logger.error("the journal's file was removed or replaced: it is begun anew")
            self._shut()
        if self._database is None:
            self._open()
        assert self._database is not None
        return self._database

    def _open(self) -> None:
        self._database = self._opener(self._config)
        self._file = self._file_now()
        self.epoch = str(self._database.execute("SELECT epoch FROM meta").fetchone()[0])
        self._housekeeping.begin(self._database)

    def _shut(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def _file_now(self) -> tuple[int, int] | None:
        """Return what tells the file from another one under its name; None in memory."""
        if in_memory(self._config) or self._config.path is None:
            return None
        try:
            status = self._config.path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_dev, status.st_ino

    def _fail(self, error: Exception) -> None:
        """Note a failure; said once, until it works again."""
        self.failures += 1
        if not isinstance(error, sqlite3.Error | OSError | ConfigError | EntryError):
            logger.error("the journal failed", exc_info=error)
        if not self.failing:
            logger.error("the journal cannot be written, captions go on without it: %s", error)
        self.failing = True
        if isinstance(error, sqlite3.Error) and corrupt(error) and self._config.path is not None:
            self._shut()
            logger.error("the journal is corrupt: moved to %s", move_aside(self._config.path))
        elif isinstance(error, sqlite3.OperationalError) and "I/O" in str(error):
            self._shut()  # what sqlite knows of the file may be wrong

    def _tidy(self, *, sweep: bool = True) -> None:
        """Forget what is too old or too much, a little at a time; `sweep`: look for it first."""
        try:
            self._housekeeping.tidy(self._opened(), sweep=sweep)
        except (sqlite3.Error, OSError, ConfigError) as error:
            self._fail(error)


def ails_the_disk(error: Exception) -> bool:
    """Say whether a write may stand another time: the disk refused it, not the journal."""
    return isinstance(error, sqlite3.OperationalError | OSError) or (
        isinstance(error, sqlite3.Error) and corrupt(error)
    )
