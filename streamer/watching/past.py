"""What a session said before it was resumed: read from the journal when the first viewer comes.

Most sessions are watched by nobody, and after a restart all come back at once, some with hours of text. What is read is
read in pages, between which the journal serves others, and made into cues on a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from streamer.core.events import Commit
from streamer.journal.journal import Journal
from streamer.journal.records import Entry, Told, again
from streamer.journal.writes import SilentError
from streamer.watching.broadcast import Broadcast

logger = logging.getLogger(__name__)

PAGE = 512
"""Entries; they take the journal some milliseconds."""
PATIENCE_S = 2.0
"""A viewer waits this long for a disk, then the session is shown from where it was resumed."""


class Past:
    """One session's, up to where it was resumed."""

    def __init__(self, journal: Journal, session: str, entries: int, commits: int) -> None:
        """`entries` is the number of the last entry, `commits` the id of the last commit."""
        self.commits = commits
        self._journal = journal
        self._session = session
        self._entries = entries
        self._reading = asyncio.Lock()
        self._over = False

    async def go_before(self, broadcast: Broadcast, max_bytes: int) -> None:
        """Put it before what a broadcast has, once, as far as it is there; the newest `max_bytes` of it, about."""
        async with self._reading:  # of several viewers the first asks, and nobody is shown anything before it is there
            if self._over:
                return
            told = await self._read(max_bytes)
            broadcast.precede(await asyncio.to_thread(spoken, self._session, self.commits, told, max_bytes))
            self._over = True

    async def _read(self, max_bytes: int) -> list[Told]:
        """Return the newest that was told, as much as can be had."""
        pages: list[list[Entry]] = []
        size = 0
        try:
            async with asyncio.timeout(PATIENCE_S):
                for stop in range(self._entries + 1, 1, -PAGE):
                    page = await self._journal.read(self._session, range(max(1, stop - PAGE), stop))
                    pages.append(page)
                    size += sum(len(body) for *_, body in (entry.row() for entry in page))
                    if not page or size > max_bytes:
                        break
        except (SilentError, TimeoutError) as error:
            why = str(error) or f"no answer in {PATIENCE_S:g} s"
            logger.warning("not all that the session said before it was resumed can be shown: %s", why)
        durable = self._journal.outlives_daemon
        return [again(entry.event, durable=durable) for page in reversed(pages) for entry in page]


def spoken(session: str, commits: int, told: list[Told], max_bytes: int) -> Broadcast:
    """Return a broadcast of what was told up to a commit, but for what lies before a hole in the journal. Pure."""
    told = unbroken(told)
    first = next((event.id for event in told if isinstance(event, Commit)), commits + 1)
    broadcast = Broadcast(session, "", "", None, max_bytes, commits=first - 1)
    for event in told:
        broadcast.publish(event)
    broadcast.finish_cue()  # the utterance that was cut is another one's to complete, and has no more words
    return broadcast


def unbroken(told: Iterable[Told]) -> list[Told]:
    """Return what follows the last place where commits are missing."""
    kept: list[Told] = []
    last = None
    for event in told:
        if isinstance(event, Commit):
            if last is not None and event.id != last + 1:
                kept.clear()
            last = event.id
        kept.append(event)
    return kept
