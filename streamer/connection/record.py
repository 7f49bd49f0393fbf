"""One session's part of the journal: what is told for good is written down here before it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from model.types import SAMPLE_RATE
from streamer.core.events import Commit, Event, Final, Gap
from streamer.core.session import Session
from streamer.journal.journal import Journal, hashed
from streamer.journal.records import Entry, Standing, again, reach, retold
from streamer.journal.writes import Note

STEP = 5 * SAMPLE_RATE
"""Silence that is decided is acknowledged in steps: what is said does so more often."""
TAIL = 512
"""Entries kept in memory: minutes of speech. A client that is lost misses what was on its way to it and what its
session's backlog still held, for no more audio comes without it; what lies further back is the journal's to tell."""


class Record:
    """Writes the entries of one session, which it numbers, and keeps the newest."""

    def __init__(self, journal: Journal, session: str, token: str, standing: Standing | None = None) -> None:
        """Begin a session, or go on with one as it stands."""
        self.token = token
        """What a client must know to come back."""
        self._journal = journal
        self._session = session
        self._hash = hashed(token)
        entries = standing.entries if standing else ()
        self._tail = deque(entries, TAIL)
        self._numbered = entries[-1].number if entries else 0
        self._epoch = journal.epoch
        self.commits = standing.commits if standing else 0
        """Id of the last commit."""
        self.settled = standing.settled if standing else 0
        """Sample index up to which the audio is decided, by what is written."""

    @property
    def epoch(self) -> str:
        """Name of the journal, which is another one after the file was lost."""
        return self._journal.epoch

    @property
    def outlives_daemon(self) -> bool:
        """Whether the session could be resumed if the daemon ended now."""
        return self._journal.outlives_daemon

    def due(self, session: Session) -> bool:
        """Say whether so much more is decided that the client should know."""
        return session.settled - self.settled >= STEP

    async def note(self, events: Iterable[Event], settled: int) -> list[Event]:
        """Write down what is told for good; return all that is told, commits with whether they are on the disk."""
        told = list(events)
        lasting = [event for event in told if isinstance(event, Commit | Final | Gap)]
        entries = tuple(Entry(number, event) for number, event in enumerate(lasting, self._numbered + 1))
        self._numbered += len(entries)
        self.commits = max([self.commits, *(entry.commit or 0 for entry in entries)])
        durable = await self._journal.note(Note(self._session, self._hash, settled, entries))
        if self._epoch != self._journal.epoch:  # what was on the disk has gone with the file
            self._epoch = self._journal.epoch
            self._tail = deque((marked(entry, durable=False) for entry in self._tail), TAIL)
        self._tail.extend(marked(entry, durable=durable) for entry in entries)
        self.settled = settled
        return [replace(event, durable=durable) if isinstance(event, Commit) else event for event in told]

    async def reach(self, commit: int) -> tuple[Entry, ...]:
        """Return the newest entries as far back as a commit, or as far as anybody can; for `since`.

        Raises SilentError if the journal is needed for it and does not answer at the moment.
        """
        tail = tuple(self._tail)
        if self._numbered == 0 or reach(tail, commit):
            return tail
        standing = await self._journal.find(self._session, commit)
        return self._joined(standing.entries if standing else ())

    def since(self, commit: int, covered: int, reached: tuple[Entry, ...]) -> Iterator[Event]:
        """Yield what was told after a commit, and a Gap where that can never be had.

        covered: sample index up to which whoever has the commit knows everything; `reached` is what `reach` returned.
        """
        for event in retold(self._joined(reached), commit, covered):
            yield again(event, durable=self.outlives_daemon)

    def close(self) -> None:
        """Say that nobody speaks here any more; the session can still be resumed while the journal keeps it."""
        self._journal.release(self._session)

    def _joined(self, older: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Return older entries and the newest, each once."""
        tail = tuple(self._tail)
        return (*(entry for entry in older if not tail or entry.number < tail[0].number), *tail)


def marked(entry: Entry, *, durable: bool) -> Entry:
    """Return an entry with whether it is on the disk."""
    event = entry.event
    return Entry(entry.number, replace(event, durable=durable)) if isinstance(event, Commit) else entry
