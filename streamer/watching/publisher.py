"""The side of a broadcast that a session's connection has."""

from __future__ import annotations

from typing import Protocol

from streamer.core.events import Event
from streamer.watching.past import Past


class Publisher(Protocol):
    """Is told what a session says, and never makes it wait."""

    def begin(self, session: str, language: str | None, past: Past | None = None) -> None:
        """Take that the session of this name is open; `language` as its client named it; `past` if it is resumed."""
        ...

    def publish(self, event: Event) -> None:
        """Take what it says next."""
        ...

    def end(self, audio: int, *, resumable: bool) -> None:
        """Take that it is over, however it ended; `audio` in samples. Nothing happens if it never began.

        resumable: its client did not stop, and may bring it back from the journal.
        """
        ...


class Unwatched:
    """The publisher of a session that nobody else can see."""

    def begin(self, session: str, language: str | None, past: Past | None = None) -> None:
        """Forget it."""

    def publish(self, event: Event) -> None:
        """Forget it."""

    def end(self, audio: int, *, resumable: bool) -> None:
        """Forget it."""
