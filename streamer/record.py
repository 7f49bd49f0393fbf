"""One session's part of the journal: what is told for good is written down here before it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from model.types import SAMPLE_RATE
from streamer.events import Commit, Event, Final, Gap
from streamer.journal.journal import Journal, hashed
from streamer.journal.records import Entry, Standing, after
from streamer.journal.writes import Note
from streamer.session import Session

STEP = 5 * SAMPLE_RATE
"""Silence that is decided is acknowledged in steps: what is said does so more often."""


class Record:
    """Writes the entries of one session, which it numbers."""

    def __init__(self, journal: Journal, session: str, token: str, standing: Standing | None = None) -> None:
        """Begin a session, or go on with one as it stands."""
        self.token = token
        """What a client must know to come back."""
        self.epoch = journal.epoch
        """Names the journal."""
        self._journal = journal
        self._session = session
        self._hash = hashed(token)
        self._numbered = standing.entries[-1].number if standing and standing.entries else 0
        self.settled = standing.settled if standing else 0
        """Sample index up to which the audio is decided, by what is written."""

    @property
    def outlives_daemon(self) -> bool:
        """Whether the session could be resumed if the daemon ended now."""
        return self._journal.on_disk and not self._journal.failing

    def due(self, session: Session) -> bool:
        """Say whether so much more is decided that the client should know."""
        return session.settled - self.settled >= STEP

    async def note(self, events: Iterable[Event], settled: int) -> list[Event]:
        """Write down what is told for good; return all that is told, commits with whether they are on the disk."""
        told = list(events)
        lasting = [event for event in told if isinstance(event, Commit | Final | Gap)]
        entries = tuple(Entry(number, event) for number, event in enumerate(lasting, self._numbered + 1))
        self._numbered += len(entries)
        durable = await self._journal.note(Note(self._session, self._hash, settled, entries))
        self.settled = settled
        return [replace(event, durable=durable) if isinstance(event, Commit) else event for event in told]

    async def since(self, commit: int) -> list[Event]:
        """Return what was told after a commit."""
        standing = await self._journal.find(self._session)
        return [durably(entry.event, self._journal) for entry in after(standing.entries, commit)] if standing else []

    def close(self) -> None:
        """Say that nobody speaks here any more; the session can still be resumed while the journal keeps it."""
        self._journal.release(self._session)


def durably(event: Commit | Final | Gap, journal: Journal) -> Event:
    """Return an event of the journal as it is told again."""
    durable = journal.on_disk and not journal.failing
    return replace(event, durable=durable, lag=None) if isinstance(event, Commit) else event
