"""What a journal holds of a session: the text that was told for good, and how far its audio is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from streamer.events import Commit, Final, Gap

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
    """All of them, in order."""

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


def after(entries: tuple[Entry, ...], commit: int) -> tuple[Entry, ...]:
    """Return the entries that follow the last commit whose id is not beyond `commit`; all of them for 0."""
    known = [at for at, entry in enumerate(entries) if entry.commit is not None and entry.commit <= commit]
    return entries[known[-1] + 1 :] if known else entries
