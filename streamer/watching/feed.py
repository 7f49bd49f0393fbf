"""A session as server-sent events: what is added to it, with ids that a client can come back with. Pure.

Source: HTML Living Standard, 9.2 (server-sent events).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.json import encode

from streamer.watching.broadcast import Broadcast
from streamer.watching.styles import Style

RETRY_MS = 2_000
"""Time after which a browser comes back."""
LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Feed:
    """The events of one client: all that was said after the one it saw last, then what is said."""

    greeting = f"retry: {RETRY_MS}\n\n".encode()
    heartbeat = b":\n\n"

    def __init__(self, broadcast: Broadcast, style: Style, seen: int) -> None:
        """`seen` is the id of the last event that the client has; 0 for none."""
        self._broadcast = broadcast
        self._style = style
        self._kept = style.kept(broadcast)
        self._seen = min(seen, self._kept.last)  # who claims to know the future is told it all the same

    @property
    def is_complete(self) -> bool:
        """Whether everything so far was told."""
        return self._seen == self._kept.last

    @property
    def farewell(self) -> bytes:
        """The last event, once the session has ended."""
        return event("done", encode({"commits": self._broadcast.lines.last}).decode())

    def news(self) -> Iterator[bytes]:
        """Yield what was not told yet."""
        while self._seen < self._kept.last:
            if self._seen < self._kept.gone:
                gap = {"from": self._seen + 1, "to": self._kept.gone}
                self._seen = self._kept.gone
                yield event("omitted", encode(gap).decode())
                continue
            self._seen += 1
            yield event("", self._style.added(self._broadcast, self._seen), self._seen)


def event(name: str, data: str, number: int | None = None) -> bytes:
    """Return an event; a line break in its data is a second line of it."""
    head = [] if number is None else [f"id: {number}"]
    head += [f"event: {name}"] if name else []
    return "".join(f"{line}\n" for line in [*head, *(f"data: {line}" for line in LINE_BREAK.split(data)), ""]).encode()
