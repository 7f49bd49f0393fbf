"""What is asked of a journal. A write is one step inside a transaction, done again whole if the transaction failed."""

from __future__ import annotations

import hmac
import sqlite3
from dataclasses import dataclass

from streamer.journal.records import Entry, Standing

MOST = 2**63 - 1
"""The largest number that SQLite knows."""
DOOMED_ROWS = 500
"""Entries deleted in one transaction: others wait for it."""


@dataclass(frozen=True, slots=True)
class Note:
    """Entries of a session, and how far its audio is decided with them."""

    session: str
    token: bytes
    """SHA-256 of the resume token; every note carries it, so that a journal that was lost can be begun anew."""
    settled: int
    entries: tuple[Entry, ...] = ()

    def apply(self, database: sqlite3.Connection, now: float) -> None:
        """Write it down. Raises sqlite3.Error."""
        database.execute(
            "INSERT INTO sessions (id, token, settled, seen) VALUES (?, ?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET settled = max(settled, excluded.settled), seen = excluded.seen",
            (self.session, self.token, self.settled, now),
        )
        database.executemany(
            "INSERT INTO entries (session, number, kind, commit_id, body) VALUES (?, ?, ?, ?, ?)",
            [(self.session, *entry.row()) for entry in self.entries],
        )


class SilentError(Exception):
    """The journal cannot say at the moment how a session stands."""


@dataclass(frozen=True, slots=True)
class Query:
    """A session that is asked for, by whom who knows everything up to a commit."""

    session: str
    commit: int = 0
    token: bytes | None = None
    """SHA-256 of the token that a stranger gave: for a wrong one nothing is read. None: the daemon asks."""
    numbers: range | None = None
    """Of the entries that are wanted, in place of those that whoever has the commit does not have."""


def find(database: sqlite3.Connection, query: Query) -> Standing | None:
    """Return how a session stands; None if it is not known (any more), or the token is wrong.

    Raises sqlite3.Error, EntryError.
    """
    wanted = "SELECT token, settled FROM sessions WHERE id = ? AND NOT doomed"
    row = database.execute(wanted, (query.session,)).fetchone()
    if row is None or (query.token is not None and not hmac.compare_digest(query.token, row[0])):
        return None
    numbers = query.numbers or range(oldest(database, query), MOST)
    wanted = "SELECT number, kind, body FROM entries WHERE session = ? AND number >= ? AND number < ? ORDER BY number"
    rows = database.execute(wanted, (query.session, numbers.start, numbers.stop))
    return Standing(row[0], row[1], tuple(Entry.of_row(*entry) for entry in rows))


def oldest(database: sqlite3.Connection, query: Query) -> int:
    """Return the number of the first entry that a Standing must have. Raises sqlite3.Error.

    A session of hours has tens of thousands, and others wait while they are read.
    """
    last_commit = "commit_id IS NOT NULL AND commit_id <= ? ORDER BY commit_id DESC"
    last_final = "kind = 'final' AND number <= ? ORDER BY number DESC"
    numbers = []
    for condition, bound in ((last_commit, query.commit), (last_final, MOST)):
        wanted = f"SELECT number FROM entries WHERE session = ? AND {condition} LIMIT 1"  # noqa: S608  # constants
        numbers.append(database.execute(wanted, (query.session, bound)).fetchone())
    return min(0 if row is None else int(row[0]) for row in numbers)


def merged(standing: Standing | None, notes: list[Note]) -> Standing | None:
    """Add what is noted and not yet written."""
    for note in notes:
        before = standing or Standing(note.token, 0, ())
        settled = max(before.settled, note.settled)
        standing = Standing(note.token, settled, (*before.entries, *note.entries))
    return standing


def settle(database: sqlite3.Connection, now: float) -> None:
    """Let nothing have been heard of later than now: the clock was set back. Raises sqlite3.Error.

    What was heard of before then comes before what is heard of since, and is kept no longer than it would be.
    """
    database.execute("UPDATE sessions SET seen = ? WHERE seen > ?", (now, now))


def latest(database: sqlite3.Connection) -> float:
    """Return when a session was last heard of. Raises sqlite3.Error."""
    return float(database.execute("SELECT COALESCE(max(seen), 0) FROM sessions").fetchone()[0])


def expired(database: sqlite3.Connection, before: float, limit: int) -> list[str]:
    """Return sessions last heard of before a time, oldest first. Raises sqlite3.Error."""
    query = "SELECT id FROM sessions WHERE NOT doomed AND seen < ? ORDER BY seen, rowid LIMIT ?"
    return [row[0] for row in database.execute(query, (before, limit))]


def doom(database: sqlite3.Connection, session: str) -> None:
    """Give a session up: it is there for nobody from now on, and goes piece by piece. Raises sqlite3.Error."""
    database.execute("UPDATE sessions SET doomed = 1 WHERE id = ?", (session,))


def bury(database: sqlite3.Connection) -> bool:
    """Delete a piece of what is doomed, of as many sessions as it holds; say whether there was any.

    Raises sqlite3.Error.
    """
    doomed = database.execute("SELECT id FROM sessions WHERE doomed LIMIT ?", (DOOMED_ROWS,)).fetchall()
    if not doomed:
        return False
    left = DOOMED_ROWS
    database.execute("BEGIN IMMEDIATE")
    try:
        for row in doomed:
            query = "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE session = ? LIMIT ?)"
            left -= database.execute(query, (row[0], left)).rowcount
            if left <= 0:
                break
            database.execute("DELETE FROM sessions WHERE id = ?", row)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return True
