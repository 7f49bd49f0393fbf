from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import Word
from streamer.config import ConfigError, Durability, JournalConfig
from streamer.core.events import Commit, Final, Gap
from streamer.journal.database import move_aside, open_database
from streamer.journal.inbox import Item
from streamer.journal.journal import Journal, hashed
from streamer.journal.records import LOST, Entry, Standing, Told, after, reach, retold
from streamer.journal.writes import DOOMED_ROWS, Note, Query, SilentError, bury, doom, find
from tests.streamer.harness import until

TOKEN = hashed("secret")


def commit(number: int, text: str = "") -> Entry:
    """The entry of a session that says nothing but commits."""
    text = text or f"w{number}"
    start, end = number * 1000, number * 1000 + 900
    return Entry(number, Commit(number, 1, text, start, end, (Word(text, start, end, 0.9, (number,)),)))


def note(number: int, session: str = "s", text: str = "", **more: Any) -> Note:
    return Note(session, TOKEN, number * 1000 + 900, (commit(number, text),), **more)


@asynccontextmanager
async def opened(path: Path | None, **options: Any) -> AsyncIterator[Journal]:
    settings = {key: options.pop(key) for key in ("durability", "retention_s", "max_bytes") if key in options}
    journal = Journal(JournalConfig(path, **settings), **options)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


def texts(standing: Standing | None) -> list[str]:
    assert standing is not None
    return [entry.event.text for entry in standing.entries if isinstance(entry.event, Commit)]


def elsewhere(path: Path, statement: str) -> list[Any]:
    """Return what the file answers another program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        return database.execute(statement).fetchall()


async def swept(journal: Journal) -> None:
    """Let the scribe look around once, on its own thread: no other may use its database."""
    scribe, done = journal._scribe, threading.Event()

    def look() -> bool:
        try:
            scribe._tidy()
            while scribe._housekeeping.dirty:
                scribe._tidy()
        finally:
            done.set()
        return False

    scribe.put(Item(Query("nobody"), lambda _: None, look))
    await asyncio.to_thread(done.wait)


async def test_what_was_noted_is_found_after_the_daemon_has_ended(path):
    async with opened(path) as journal:
        assert await journal.note(note(1)) is True
        assert await journal.note(note(2)) is True
        epoch = journal.epoch
    async with opened(path) as journal:
        standing = await journal.find("s")
        assert journal.epoch == epoch
    assert standing == Standing(TOKEN, 2900, (commit(1), commit(2)))


async def test_every_kind_of_entry_comes_back_as_it_was(path):
    told = (
        commit(1),
        Entry(2, Final(1, "w1", 0, 1500, "en", 3)),
        Entry(3, Gap(1500, 9000, "the connection was lost for too long")),
    )
    async with opened(path) as journal:
        await journal.note(Note("s", TOKEN, 9000, told))
        assert await journal.find("s") == Standing(TOKEN, 9000, told)


async def test_in_memory_nothing_is_durable_and_everything_is_found(path):
    async with opened(None) as journal:
        assert await journal.note(note(1)) is False
        assert texts(await journal.find("s")) == ["w1"]
        assert not journal.failing
    async with opened(path, durability=Durability.MEMORY) as journal:
        assert await journal.note(note(1)) is False
    assert not path.exists()


async def test_the_file_refuses_to_change_or_lose_what_was_committed(path):
    async with opened(path) as journal:
        await journal.note(note(1))
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            elsewhere(path, "UPDATE entries SET body = '{}'")
        with pytest.raises(sqlite3.IntegrityError, match="as a whole"):
            elsewhere(path, "DELETE FROM entries")


async def test_whatever_goes_wrong_in_the_journal_whoever_waits_is_answered(path, monkeypatch, caplog):
    apply = Note.apply

    def poisonous(self: Note, database: sqlite3.Connection, now: float) -> None:
        if self.session == "poison":
            raise RuntimeError("a fault of ours")
        apply(self, database, now)

    monkeypatch.setattr(Note, "apply", poisonous)
    async with asyncio.timeout(20), opened(path) as journal:
        await journal.note(note(1, "poison"))
        assert await journal.note(note(1, "good"))
        assert texts(await journal.find("good")) == ["w1"]
        monkeypatch.setattr("streamer.journal.scribe.find", lambda *_: 1 / 0)
        with pytest.raises(SilentError, match="division"):
            await journal.find("good")
    assert "a fault of ours" in caplog.text


async def test_a_note_that_contradicts_the_journal_harms_no_other_session_and_leaves_nothing_of_itself(path):
    second = Note("s", TOKEN, 2900, (commit(2), commit(1, "second")))
    async with opened(path) as journal:
        await journal.note(note(1, text="first"))
        stands = await asyncio.gather(journal.note(second), journal.note(note(1, "t")))
        assert stands == [False, True]
        assert await journal.find("s") == Standing(TOKEN, 1900, (commit(1, "first"),))
        assert texts(await journal.find("t")) == ["w1"]
        assert journal.dropped == 1


async def test_notes_that_come_together_are_written_in_few_transactions(path):
    took: list[float] = []
    async with opened(path, observe=took.append) as journal:
        await asyncio.gather(*(journal.note(note(1, f"s{n}")) for n in range(500)))
    assert len(took) < 100


async def test_the_file_is_for_nobody_else(path):
    async with opened(path) as journal:
        await journal.note(note(1))
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_second_daemon_does_not_start_on_the_same_journal(path):
    async with opened(path):
        with pytest.raises(ConfigError, match="in use by another daemon"):
            Journal(JournalConfig(path))
    async with opened(path):
        pass


async def test_a_journal_of_a_later_version_is_refused_and_left_as_it_is(path):
    async with opened(path) as journal:
        await journal.note(note(1))
    elsewhere(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="has version 99"):
        Journal(JournalConfig(path))
    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "theirs.sqlite"
    elsewhere(path, "CREATE TABLE theirs (x)")
    with pytest.raises(ConfigError, match="another program"):
        Journal(JournalConfig(path))
    assert elsewhere(path, "SELECT count(*) FROM theirs") == [(0,)]


@pytest.mark.parametrize("damage", ["noise", "middle", "header", "short"])
async def test_a_corrupt_journal_is_moved_aside_and_a_new_one_is_begun(path, damage, caplog):
    async with opened(path) as journal:
        for number in range(1, 200):
            await journal.note(note(number, text=f"text {number} " * 20))
        epoch = journal.epoch
    data = bytearray(path.read_bytes())
    match damage:
        case "noise":
            data[:] = os.urandom(len(data))
        case "middle":
            data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
        case "header":
            data[:16] = b"not a database!!"
        case "short":
            del data[len(data) // 2 :]
    path.write_bytes(data)
    async with opened(path) as journal:
        assert journal.epoch != epoch
        assert await journal.note(note(1)) is True
        assert await journal.find("s") == Standing(TOKEN, 1900, (commit(1),))
    [aside] = path.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == data
    assert "corrupt" in caplog.text


def test_with_a_corrupt_journal_goes_its_log_and_no_other_is_written_over(tmp_path):
    path, names = tmp_path / "journal.sqlite", ("", "-wal", "-shm")
    for data in (b"first", b"second"):
        for name in names:
            path.with_name(path.name + name).write_bytes(data)
        aside = move_aside(path)
        assert [aside.with_name(aside.name + name).read_bytes() for name in names] == [data] * 3
    assert len(list(tmp_path.iterdir())) == 6


async def test_a_log_that_was_cut_short_costs_only_what_it_held(path):
    async with opened(path) as journal:
        for number in range(1, 50):
            await journal.note(note(number))
        data, log = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    path.write_bytes(data)
    path.with_name(path.name + "-wal").write_bytes(log[: len(log) // 2 + 100])
    async with opened(path) as journal:
        found = texts(await journal.find("s"))
        assert found == [f"w{number}" for number in range(1, len(found) + 1)]
        assert 0 < len(found) < 49
        assert await journal.note(note(len(found) + 1)) is True


class Faulty:
    """A database whose transactions fail while somebody says so."""

    def __init__(self, database: sqlite3.Connection, trouble: list[Exception]) -> None:
        self._database = database
        self._trouble = trouble

    def execute(self, statement: str, *arguments: Any) -> Any:
        if self._trouble and statement == "COMMIT":
            raise self._trouble[0]
        return self._database.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.mark.parametrize(
    "complaint", ["database or disk is full", "disk I/O error", "attempt to write a readonly database"]
)
async def test_a_disk_that_refuses_costs_durability_and_nothing_else(path, complaint, caplog):
    trouble: list[Exception] = []
    files: list[Faulty] = []

    def opener(config: JournalConfig) -> Any:
        files.append(Faulty(open_database(config), trouble))
        return files[-1]

    async with opened(path, opener=opener) as journal:
        assert await journal.note(note(1)) is True
        trouble.append(sqlite3.OperationalError(complaint))
        assert await journal.note(note(2)) is False
        assert await journal.note(note(3)) is False
        assert await journal.note(note(1, "other", text="what somebody else said")) is False
        assert journal.failing
        assert texts(await journal.find("other")) == ["what somebody else said"]
        assert texts(await journal.find("s")) == ["w1", "w2", "w3"]
        trouble.clear()
        while journal.failing:
            await journal.note(Note("s", TOKEN, 3900))
            await journal.find("s")  # answered once the note before it has been tried
        assert await journal.note(note(4)) is True
    async with opened(path) as journal:
        assert texts(await journal.find("s")) == ["w1", "w2", "w3", "w4"]
    assert caplog.text.count("cannot be written") == 1
    assert "written again" in caplog.text
    assert (len(files) > 1) == ("I/O" in complaint), "what sqlite knows of such a file may be wrong"


async def test_what_the_disk_refused_is_written_when_it_can_be_though_nobody_says_more(path, monkeypatch):
    monkeypatch.setattr("streamer.journal.scribe.RETRY_S", 0.01)
    monkeypatch.setattr("streamer.journal.scribe.SWEEP_S", 3600.0)
    trouble: list[Exception] = [sqlite3.OperationalError("database or disk is full")]
    async with opened(path, opener=lambda config: Faulty(open_database(config), trouble)) as journal:
        assert await journal.note(note(1)) is False
        trouble.clear()
        async with asyncio.timeout(20):
            await until(lambda: not journal.failing)
        assert elsewhere(path, "SELECT number FROM entries") == [(1,)]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: writes fail as on a disk that is full."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


async def test_a_file_that_cannot_grow_is_written_again_when_it_can(path):
    async with opened(path) as journal:
        assert await journal.note(note(1)) is True
        size = path.with_name(path.name + "-wal").stat().st_size
        number = 1
        with largest_file(size + 8192):
            while not journal.failing:
                number += 1
                await journal.note(note(number, text="x" * 2000))
        while journal.failing:
            await journal.note(Note("s", TOKEN, 0))
            await journal.find("s")
    async with opened(path) as journal:
        assert len(texts(await journal.find("s"))) == number


async def test_a_journal_that_cannot_be_made_does_not_keep_the_daemon_from_serving(tmp_path):
    (tmp_path / "file").write_text("in the way")
    async with opened(tmp_path / "file" / "journal.sqlite") as journal:
        assert journal.failing
        assert await journal.note(note(1)) is False
        assert texts(await journal.find("s")) == ["w1"]


async def test_a_file_that_was_removed_is_begun_anew(path, caplog):
    async with opened(path) as journal:
        await journal.note(note(1))
        for file in path.parent.glob("journal.sqlite*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        assert await journal.note(note(2)) is True
    async with opened(path) as journal:
        assert texts(await journal.find("s")) == ["w2"]
    assert "removed" in caplog.text


async def test_another_process_that_holds_the_file_does_not_delay_captions_for_ever(path):
    async with opened(path) as journal:
        await journal.note(note(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        assert await journal.note(note(2)) is False
        other.execute("COMMIT")
        other.close()
        while journal.failing:
            await journal.note(Note("s", TOKEN, 0))
            await journal.find("s")
        assert texts(await journal.find("s")) == ["w1", "w2"]


async def test_a_disk_that_hangs_lets_captions_go_on(path, monkeypatch):
    hold = threading.Event()
    monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 0.01)

    class Hanging(Faulty):
        def execute(self, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT":
                hold.wait()
            return super().execute(statement, *arguments)

    async with opened(path, opener=lambda config: Hanging(open_database(config), [])) as journal:
        assert not journal.failing
        assert await journal.note(note(1)) is False
        assert journal.failing, "/readyz says so"
        with pytest.raises(SilentError, match="does not answer"):
            await journal.find("s")
        monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 60.0)
        assert await journal.note(note(2)) is False, "nobody waits again for a disk that has not answered"
        hold.set()
        assert await journal.find("s") is not None
        assert not journal.failing
        assert await journal.note(note(3)) is True
    async with opened(path) as journal:
        assert texts(await journal.find("s")) == ["w1", "w2", "w3"]


async def test_what_waits_for_a_disk_that_hangs_is_bounded_and_the_newest_is_kept(path, monkeypatch, caplog):
    hold, hangs = threading.Event(), threading.Event()
    monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 0.01)
    monkeypatch.setattr("streamer.journal.scribe.MOST_KEPT", 20)

    class Hanging(Faulty):
        def execute(self, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT":
                hangs.set()
                hold.wait()
            return super().execute(statement, *arguments)

    async with opened(path, opener=lambda config: Hanging(open_database(config), [])) as journal:
        assert await journal.note(note(1)) is False
        await asyncio.to_thread(hangs.wait)
        for number in range(2, 101):
            assert await journal.note(note(number)) is False
        assert journal.waiting == 20 + 1
        assert journal.dropped == 99 - 20
        assert caplog.text.count("the oldest are dropped") == 1
        monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 60.0)
        hold.set()
        assert texts(await journal.find("s")) == ["w1", *(f"w{number}" for number in range(82, 101))]
        assert not journal.failing
        assert await journal.note(note(101)) is True


async def test_what_waits_for_a_disk_that_refuses_is_bounded_and_the_newest_is_kept(path, monkeypatch, caplog):
    monkeypatch.setattr("streamer.journal.scribe.MOST_KEPT", 20)
    trouble: list[Exception] = [sqlite3.OperationalError("database or disk is full")]
    async with opened(path, opener=lambda config: Faulty(open_database(config), trouble)) as journal:
        for number in range(1, 101):
            assert await journal.note(note(number)) is False
            await journal.find("s", number)  # answered once the note before it has been tried
        assert (journal.waiting, journal.dropped) == (20, 80)
        assert caplog.text.count("the oldest are dropped") == 1
        trouble.clear()
        while journal.failing:
            await journal.note(Note("s", TOKEN, 0))
            await journal.find("s")
        assert texts(await journal.find("s")) == [f"w{number}" for number in range(82, 101)]


async def test_a_session_that_is_forgotten_leaves_nothing_in_the_files(path):
    now = [1000.0]
    canary = "canary-of-a-sentence"
    async with opened(path, retention_s=60, now=lambda: now[0]) as journal:
        for number in range(1, 1200):
            await journal.note(note(number, text=f"{canary} {number}")) if number % 400 == 0 else journal._ask(
                note(number, text=f"{canary} {number}")
            )
        await journal.note(note(1, "other"))
        assert any(canary.encode() in file.read_bytes() for file in path.parent.iterdir())
        journal.release("s")
        now[0] += 61
        await swept(journal)
        assert await journal.find("s") is None
        assert not any(canary.encode() in file.read_bytes() for file in path.parent.iterdir())
        assert texts(await journal.find("other")) == ["w1"]


async def test_sessions_that_nobody_came_back_to_are_deleted_in_time(path):
    now = [1000.0]
    async with opened(path, retention_s=60, now=lambda: now[0]) as journal:
        for session in ("old", "open"):
            await journal.note(note(1, session))
        journal.release("old")
        now[0] += 50
        await journal.note(note(1, "young"))
        journal.release("young")
        await swept(journal)
        assert await journal.find("old") is not None
        now[0] += 20
        await swept(journal)
        assert await journal.find("old") is None
        assert await journal.find("open") is not None, "it is open, whatever its age"
        assert await journal.find("young") is not None


async def test_open_sessions_however_many_and_old_keep_no_other_from_being_deleted(path, monkeypatch):
    monkeypatch.setattr("streamer.journal.housekeeping.SWEPT", 1)
    now = [1000.0]
    async with opened(path, retention_s=60, now=lambda: now[0]) as journal:
        for session in ("open", "open too", "old"):
            await journal.note(note(1, session))
            now[0] += 1
        journal.release("old")
        now[0] += 61
        await swept(journal)
        assert await journal.find("old") is None
        assert await journal.find("open") is not None


def buried(path: Path, *notes: Note) -> list[bool]:
    """Write down sessions and give them up; return what each piece of burying them found, to the first nothing."""
    database = open_database(JournalConfig(path))
    for each in notes:
        each.apply(database, 1.0)
        doom(database, each.session)
    pieces = [bury(database)]
    while pieces[-1]:
        pieces.append(bury(database))
    left = database.execute("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM entries)").fetchone()
    database.close()
    assert left == (0,)
    return pieces


def test_what_is_given_up_goes_many_sessions_at_a_time(path):
    assert buried(path, *(note(1, f"s{session}") for session in range(40))) == [True, False]


def test_a_session_of_many_rows_goes_in_pieces(path):
    long = Note("long", TOKEN, 1, tuple(commit(number) for number in range(1, 2 * DOOMED_ROWS + 2)))
    assert buried(path, long, note(1)) == [True, True, True, False]


@pytest.mark.parametrize("jump", [0, 3600, -3600])
async def test_the_oldest_go_first_whatever_the_clock_did_meanwhile(path, jump):
    now = [2e9]
    async with opened(path, max_bytes=1_048_576, now=lambda: now[0]) as journal:
        for session in range(30):
            if session == 12:
                now[0] += jump
            assert await journal.note(note(1, f"s{session}", text="x" * 60_000)) is True
            journal.release(f"s{session}")
            now[0] += 1
        await swept(journal)
        kept = [n for n in range(30) if await journal.find(f"s{n}") is not None]
    assert kept
    assert kept == list(range(kept[0], 30))


async def test_a_clock_that_was_set_back_keeps_nothing_for_longer(path):
    now = [2e9]
    async with opened(path, retention_s=60, now=lambda: now[0]) as journal:
        await journal.note(note(1, "old"))
        journal.release("old")
        now[0] -= 86_400
        await swept(journal)
        now[0] += 61
        await swept(journal)
        assert await journal.find("old") is None


@pytest.mark.parametrize("jump", [0, -86_400])
async def test_a_journal_that_is_busy_forgets_in_time_too_whatever_the_clock_does(path, jump):
    now = [2e9]
    async with opened(path, retention_s=60, now=lambda: now[0]) as journal:
        await journal.note(Note("old", TOKEN, 0, tuple(commit(number) for number in range(1, 2 * DOOMED_ROWS + 2))))
        journal.release("old")
        for passed in (jump, 61, 0, 0):
            now[0] += passed
            await journal.note(Note("busy", TOKEN, 0))
            await journal.find("busy")  # answered once what follows the note, by the same clock, is done
        assert elsewhere(path, "SELECT count(*) FROM entries") == [(0,)]


def test_an_empty_path_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"journal\.path must name a file, got '\.'; leave it out to use none"):
        JournalConfig(Path())


async def test_a_journal_beyond_its_size_loses_the_oldest_sessions_first(path):
    async with opened(path, max_bytes=1_048_576) as journal:
        for session in range(30):
            assert await journal.note(note(1, f"s{session}", text="x" * 60_000)) is True
            journal.release(f"s{session}")
        await swept(journal)
        kept = [n for n in range(30) if await journal.find(f"s{n}") is not None]
    assert kept
    assert kept == list(range(kept[0], 30))
    assert path.stat().st_size <= 1_200_000


async def test_a_session_that_is_open_is_kept_and_the_file_stays_within_its_bound(path):
    async with opened(path, max_bytes=1_048_576) as journal:
        stands = [await journal.note(note(number, text="x" * 60_000)) for number in range(1, 31)]
        assert await journal.find("s") is not None
    assert stands == sorted(stands, reverse=True), "it is full, as a disk is"
    assert 5 < sum(stands) < 30
    assert path.stat().st_size <= 1_048_576 * 5 // 4


WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from streamer.config import JournalConfig
    from streamer.core.events import Commit
    from streamer.journal.journal import Journal
    from streamer.journal.records import Entry
    from streamer.journal.writes import Note

    def note(number):
        return Note("s", b"", number, (Entry(number, Commit(number, 1, f"w{number}", 0, 1, ())),))

    async def main():
        journal = Journal(JournalConfig(Path(sys.argv[1])))
        standing = await journal.find("s")
        number = standing.commits if standing else 0
        while True:
            number += 1
            assert await journal.note(note(number))
            print(number, flush=True)
    asyncio.run(main())
""")


def test_nothing_that_was_told_is_lost_when_the_writer_is_killed(path):
    told = 0
    for round_ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(20 + 7 * round_):
            told = int(writer.stdout.readline())
        writer.kill()
        told = max([told, *map(int, writer.stdout.read().split())])
        writer.wait()
        writer.stdout.close()
    database = open_database(JournalConfig(path))
    rows = [row[0] for row in database.execute("SELECT number FROM entries ORDER BY number")]
    database.close()
    assert rows == list(range(1, len(rows) + 1))
    assert len(rows) >= told


@st.composite
def sessions(draw: st.DrawFn) -> list[Entry]:
    """Return what a session told: utterances of some commits, each with its final, and gaps."""
    told: list[Told] = []
    utterance, commits = 1, 0
    for kind in draw(st.lists(st.sampled_from(["commit", "final", "gap"]), max_size=20)):
        start = 1000 * len(told)
        match kind:
            case "commit":
                commits += 1
                told.append(Commit(commits, utterance, "w", start, start + 900, ()))
            case "final":
                told.append(Final(utterance, "", max(0, start - 1000), start + 900, "en"))
                utterance += 1
            case "gap":
                told.append(Gap(start, start + 900, ""))
    return [Entry(number, event) for number, event in enumerate(told, 1)]


@given(sessions(), st.integers(0, 25))
def test_what_follows_a_commit_is_all_that_was_told_after_it(entries, known):
    commits = sum(entry.commit is not None for entry in entries)
    rest = after(tuple(entries), known)
    assert rest == tuple(entries)[len(entries) - len(rest) :]
    assert [entry.commit for entry in rest if entry.commit] == list(range(min(known, commits) + 1, commits + 1))
    if 0 < known <= commits:
        assert entries[len(entries) - len(rest) - 1].commit == known


@given(sessions(), st.integers(0, 25))
def test_whoever_asks_gets_the_end_of_a_session_that_says_as_much_as_the_whole(entries, known):
    database = open_database(JournalConfig(None))
    Note("s", TOKEN, 5, tuple(entries)).apply(database, 0.0)
    part = find(database, Query("s", known))
    database.close()
    assert part is not None
    assert part.entries == tuple(entries)[len(entries) - len(part.entries) :]
    assert reach(part.entries, known) or not entries
    assert after(part.entries, known) == after(tuple(entries), known)
    commits = tuple(entry.event for entry in entries if isinstance(entry.event, Commit))
    finals = [entry.event.utterance for entry in entries if isinstance(entry.event, Final)]
    last = max([*finals, *(event.utterance for event in commits)], default=0)
    assert (part.commits, part.utterances) == (len(commits), last)
    assert part.open_utterance() == tuple(
        event for event in commits if event.utterance == last and event.utterance not in finals
    )


async def test_of_a_long_session_only_its_end_is_read(path):
    async with opened(path) as journal:
        await journal.note(Note("s", TOKEN, 0, tuple(commit(number) for number in range(1, 1000))))
        await journal.note(Note("s", TOKEN, 0, (Entry(1000, Final(1, "", 0, 1, "en")),)))
        standing = await journal.find("s", 990)
    assert standing is not None
    assert [entry.number for entry in standing.entries] == [*range(990, 1001)]


async def test_a_session_of_which_a_part_is_not_written_and_the_rest_cannot_be_read_is_not_taken_for_the_whole(path):
    trouble: list[Exception] = []

    class Unreadable(Faulty):
        def execute(self, statement: str, *arguments: Any) -> Any:
            if trouble and statement.startswith(("SELECT token", "BEGIN")):
                raise trouble[0]
            return super().execute(statement, *arguments)

    async with opened(path, opener=lambda config: Unreadable(open_database(config), [])) as journal:
        await journal.note(note(1))
        await journal.note(note(2))
        trouble.append(sqlite3.OperationalError("disk I/O error"))
        await journal.note(note(3))
        with pytest.raises(SilentError):
            await journal.find("s")
        trouble.clear()
        assert texts(await journal.find("s")) == ["w1", "w2", "w3"]


async def test_for_a_stranger_with_a_wrong_token_nothing_is_read(path, caplog):
    async with opened(path) as journal:
        await journal.note(note(1))
        elsewhere(path, "INSERT INTO entries VALUES ('s', 2, 'commit', 2, 'no json')")
        assert await journal.find("s", 0, hashed("guess")) is None
    assert "cannot be read" not in caplog.text


async def test_what_nobody_waits_for_any_more_is_not_read(path, monkeypatch):
    hold, read = threading.Event(), []

    class Hanging(Faulty):
        def execute(self, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT":
                hold.wait()
            return super().execute(statement, *arguments)

    def reading(database: sqlite3.Connection, query: Query) -> Standing | None:
        read.append(query.commit)
        return find(database, query)

    monkeypatch.setattr("streamer.journal.scribe.find", reading)
    monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 0.01)
    async with opened(path, opener=lambda config: Hanging(open_database(config), [])) as journal:
        await journal.note(note(1))
        for _ in range(3):
            with pytest.raises(SilentError):
                await journal.find("s", 1)
        monkeypatch.setattr("streamer.journal.journal.PATIENCE_S", 60.0)
        hold.set()
        assert texts(await journal.find("s", 2)) == ["w1"]
    assert read == [2]


async def test_a_session_that_cannot_be_read_is_not_known(path, caplog):
    async with opened(path) as journal:
        await journal.note(note(1))
        elsewhere(path, "INSERT INTO entries VALUES ('s', 2, 'commit', 2, 'no json')")
        assert await journal.find("s") is None
        assert not journal.failing
    assert "cannot be read" in caplog.text


@given(sessions(), st.integers(0, 25), st.sets(st.integers(1, 20)), st.integers(0, 30_000))
def test_what_is_told_again_has_everything_or_says_where_it_is_missing(entries, known, lost, covered):
    rest = after(tuple(entries), known)
    left = tuple(entry for entry in entries if entry.number not in lost)
    told = list(retold(left, known, covered))
    again = [entry.event for entry in after(left, known)]
    assert [event for event in told if not isinstance(event, Gap) or event.reason != LOST] == again
    assert [entry.event for entry in rest if entry.number not in lost] == again[
        len(again) - sum(entry.number not in lost for entry in rest) :
    ]
    holes = [event for event in told if isinstance(event, Gap) and event.reason == LOST]
    if not any(entry.number in lost for entry in entries):
        assert holes == []
    later = [entry.number for entry in after(left, known)]
    followed = [entry for entry in rest if entry.number in lost and later and entry.number < later[-1]]
    assert bool(followed) <= bool(holes)
    assert all(gap.start <= gap.end for gap in holes)


def test_a_gap_lies_between_what_is_known_and_what_is_known_again():
    commits = tuple(commit(number) for number in (1, 2, 5, 6))
    assert [(event.start, event.end) for event in retold(commits, 1, 1900)] == [
        (2000, 2900), (2900, 5000), (5000, 5900), (6000, 6900),
    ]  # fmt: skip
    assert next(retold(commits, 4, 4900)) == commits[2].event, "it has what is lost"
    [gap, *_] = retold(commits[2:], 1, 1900)
    assert gap == Gap(1900, 5000, LOST)
