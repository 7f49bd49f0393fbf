"""What waits for the thread that writes a journal."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamer.journal.writes import Note, Query

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to do, and who wants to hear of it; the answer comes on the scribe's thread."""

    work: Note | Query | None
    """A write; a session that is asked for; None to end."""
    answer: Callable[[Any], None]
    """Takes whether the write stands, or the session's Standing or None, or a SilentError."""
    wanted: Callable[[], bool] = lambda: True
    """Whether anybody still waits for the answer; asked on the scribe's thread."""


class Inbox:
    """Handed to from any thread, emptied by one. Bounded: a disk may hang for hours while captions go on.

    When it is full the oldest item is dropped, as of what a disk refuses: what was told last is what clients that come
    back may have missed. Nobody is answered then; by that time nobody waits any more. It is counted, and logged once.
    """

    def __init__(self, most: int) -> None:
        """Hold `most` items."""
        self._most = most
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._overflowing = False
        self.dropped = 0
        """Writes that were dropped."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Hand something in."""
        with self._changed:
            if len(self._items) >= self._most:
                self.dropped += not isinstance(self._items.popleft().work, Query)
                if not self._overflowing:
                    logger.error(
                        "the journal's disk hangs and %d writes wait for it: the oldest are dropped", self._most
                    )
                self._overflowing = True
            self._items.append(item)
            self._changed.notify()

    def take(self, most: int, timeout_s: float) -> list[Item]:
        """Wait for something; return what there is, `most` items at once, or nothing when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            self._overflowing = False
            return [self._items.popleft() for _ in range(min(most, len(self._items)))]
