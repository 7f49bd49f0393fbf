"""The journal's file: its schema, how it is opened, and what is done with one that cannot be.

Theory of operation. SQLite with a write-ahead log: what is committed survives the end of the process in any mode, and,
with synchronous=FULL, a power cut (https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous).
Entries are insert-only, and the file itself enforces it: triggers refuse to change one, and to delete one whose session
has not been given up as a whole. Deleted pages are overwritten with zeros (secure_delete).
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
import uuid
from pathlib import Path
from typing import IO

from streamer.config import ConfigError, Durability, JournalConfig

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x53545231
"""Of the file's header ("STR1"): a database that is somebody else's is not touched."""
VERSION = 1
PAGE_BYTES = 4096
CACHE_KIB = 512
"""Pages kept in memory: what is read is what running streams wrote a moment ago."""
BUSY_MS = 500
"""Time another process may hold the file before a write counts as failed."""

SCHEMA = f"""
BEGIN;
CREATE TABLE meta (epoch TEXT NOT NULL);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, token BLOB NOT NULL, settled INTEGER NOT NULL,
    seen REAL NOT NULL, doomed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sessions_seen ON sessions (doomed, seen);
CREATE TABLE entries (
    session TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, commit_id INTEGER, body TEXT NOT NULL
);
CREATE UNIQUE INDEX entries_number ON entries (session, number);
CREATE UNIQUE INDEX entries_commit ON entries (session, commit_id) WHERE commit_id IS NOT NULL;
CREATE TRIGGER entries_stand BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'what was committed never changes'); END;
CREATE TRIGGER entries_stay BEFORE DELETE ON entries
    WHEN COALESCE((SELECT doomed FROM sessions WHERE id = OLD.session), 1) = 0
    BEGIN SELECT RAISE(ABORT, 'a session is deleted as a whole'); END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608  # constants of ours


class ForeignFileError(ConfigError):
    """The file is not a journal that this version can use, and is not ours to move away."""


def open_database(config: JournalConfig) -> sqlite3.Connection:
    """Open the journal, or make one; a corrupt one is moved aside first. To be used by one thread.

    Raises ConfigError for a file of a later version or of another program; sqlite3.Error or OSError if it cannot be
    had at the moment.
    """
    if in_memory(config):
        return prepare(connect(":memory:"), config)
    assert config.path is not None
    config.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return open_file(config.path, config)
    except sqlite3.DatabaseError as error:
        if not corrupt(error):
            raise
        logger.exception("the journal is corrupt: moved to %s, a new one is begun", move_aside(config.path))
        return open_file(config.path, config)


def in_memory(config: JournalConfig) -> bool:
    """Say whether nothing is written to a disk."""
    return config.path is None or config.durability is Durability.MEMORY


def open_file(path: Path, config: JournalConfig) -> sqlite3.Connection:
    """Open the file as it is. Raises sqlite3.Error, ForeignFileError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # sqlite would make it readable for others
    os.close(descriptor)
    database = connect(str(path))
    try:
        return prepare(database, config)
    except BaseException:
        database.close()
        raise


def connect(name: str) -> sqlite3.Connection:
    """Open a database; transactions are ours to begin."""
    return sqlite3.connect(name, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)


def prepare(database: sqlite3.Connection, config: JournalConfig) -> sqlite3.Connection:
    """Check what is there, make what is missing, set how it is written."""
    version = int(value(database, "user_version"))
    owner = int(value(database, "application_id"))
    if version == 0 and owner == 0 and not database.execute("SELECT 1 FROM sqlite_schema").fetchone():
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    elif owner != APPLICATION_ID:
        raise ForeignFileError(f"journal.path: {config.path} is a database of another program")
    elif version != VERSION:
        complaint = f"has version {version}, this daemon knows {VERSION}: name another file, or remove it"
        raise ForeignFileError(f"journal.path: {config.path} {complaint}")
    else:
        verdict = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")
    database.execute("PRAGMA journal_mode = WAL")
    level = "FULL" if config.durability is Durability.FULL else "NORMAL"
    safety = f"synchronous = {level}", "secure_delete = ON", "recursive_triggers = ON", "trusted_schema = OFF"
    for pragma in (*safety, f"cache_size = -{CACHE_KIB}"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("PRAGMA journal_size_limit = 4194304")
    database.execute(f"PRAGMA max_page_count = {config.max_bytes * 5 // 4 // PAGE_BYTES}")
    if version == 0:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO meta VALUES (?)", (uuid.uuid4().hex,))
    return database


def value(database: sqlite3.Connection, pragma: str) -> int | str:
    """Return what a pragma says."""
    answer: int | str = database.execute(f"PRAGMA {pragma}").fetchone()[0]
    return answer


def corrupt(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is spoilt, not that it cannot be used at the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    spoilt = code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    return spoilt or "malformed" in str(error)


def move_aside(path: Path) -> Path:
    """Rename a file that is spoilt, with its log; return its new name."""
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    number = 1
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{aside.name.split('~')[0]}~{number}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    return aside


def lock(path: Path) -> IO[bytes]:
    """Claim a journal for this process, until the file that is returned is closed.

    Raises ConfigError if another daemon has it, OSError if there can be no lock file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"journal.path: {path} is in use by another daemon; each needs its own") from None
    return file
