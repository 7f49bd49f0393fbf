"""What a journal holds of a session: the text that was told for good, and how far its audio is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from streamer.core.events import Commit, Final, Gap

Told: TypeAlias = Commit | Final | Gap
"""What is told for good: text, the end of an utterance, audio that has no text."""

KINDS: dict[str, type[Told]] = {"commit": Commit, "final": Final, "gap": Gap}
NAMES = {kind: name for name, kind in KINDS.items()}


class EntryError(Exception):
    """A row that cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a session; written once, never changed."""

    number: int
    """1, 2, 3 … per session, without gaps."""
    event: Told

    @property
    def commit(self) -> int | None:
        """Id of the commit, if it is one."""
        return self.event.id if isinstance(self.event, Commit) else None

    def row(self) -> tuple[int, str, int | None, str]:
        """Return number, kind, commit id and body as they are stored."""
        return self.number, NAMES[type(self.event)], self.commit, msgspec.json.encode(self.event).decode()

    @classmethod
    def of_row(cls, number: int, kind: str, body: str) -> Entry:
        """Return what is stored. Raises EntryError for what is none."""
        try:
            return cls(number, msgspec.json.decode(body, type=KINDS[kind]))
        except (KeyError, msgspec.MsgspecError) as error:
            raise EntryError(f"entry {number} of kind {kind!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stood when it was last written down."""

    token: bytes
    """SHA-256 of its resume token."""
    settled: int
    """Sample index up to which its audio is decided."""
    entries: tuple[Entry, ...]
    """In order; all of them, or at least the last commit, the last final, and what was told since either."""

    @property
    def commits(self) -> int:
        """Id of the last commit; 0 if there is none."""
        return max((entry.commit or 0 for entry in self.entries), default=0)

    @property
    def utterances(self) -> int:
        """Number of the last utterance of which anything was told."""
        numbers = (entry.event.utterance for entry in self.entries if not isinstance(entry.event, Gap))
        return max(numbers, default=0)

    def open_utterance(self) -> tuple[Commit, ...]:
        """Return the commits of the last utterance if its final was not told."""
        last = self.utterances
        told = [entry.event for entry in self.entries if getattr(entry.event, "utterance", None) == last]
        if not told or isinstance(told[-1], Final):
            return ()
        return tuple(event for event in told if isinstance(event, Commit))


def reach(entries: Sequence[Entry], commit: int) -> bool:
    """Say whether the newest entries of a session go back to a commit, or one before it, or to the session's begin."""
    return any(entry.number == 1 or (entry.commit is not None and entry.commit <= commit) for entry in entries)


def after(entries: tuple[Entry, ...], commit: int) -> tuple[Entry, ...]:
    """Return the entries that follow the last commit whose id is not beyond `commit`; all of them for 0."""
    known = [at for at, entry in enumerate(entries) if entry.commit is not None and entry.commit <= commit]
    return entries[known[-1] + 1 :] if known else entries


def again(event: Told, *, durable: bool) -> Told:
    """Return what is told a second time: how late it was is nobody's concern any more.

    durable: whether what the journal has taken is on the disk.
    """
    if not isinstance(event, Commit):
        return event
    return replace(event, durable=durable and event.durable is not False, lag=None)


LOST = "what was said here is lost with the server's journal"


def retold(entries: tuple[Entry, ...], commit: int, covered: int) -> Iterator[Told]:
    """Yield what was told after a commit, and a Gap wherever entries are missing.

    covered: sample index up to which whoever has the commit knows everything; such a gap begins where what is known
    ends. Of an utterance whose final is the first thing known again, the gap has all: the final has its text.
    """
    rest = after(entries, commit)
    known = entries[: len(entries) - len(rest)]
    number = known[-1].number if known else 0
    if known and rest and known[-1].commit != commit and rest[0].commit == commit + 1:
        number = rest[0].number - 1  # what is missing here, it has
    last: int | None = commit
    for entry in rest:
        event = entry.event
        if entry.number != number + 1 or (entry.commit and last is not None and entry.commit > last + 1):
            again = event.end if isinstance(event, Final) else event.start
            yield Gap(covered, max(covered, again), LOST)
            last = None
        yield event
        number, last, covered = entry.number, entry.commit or last, max(covered, event.end)
