"""The flushes of a stream that are not answered yet, over as many connections as it takes. Pure."""

from __future__ import annotations

from collections import deque

from streamer.protocols import messages


class Flushes:
    """Each gets an id of its own on the wire; whoever asked gets the marker back that they gave, once.

    A flush is sent again over the next connection, and a server that had it already answers it twice. Markers need not
    differ, so they do not tell which flush an answer belongs to.
    """

    def __init__(self) -> None:
        self._made = 0
        self._open: dict[str, tuple[int, str]] = {}  # by their ids: where, and their markers
        self._unsent: deque[str] = deque()  # of these, over this connection

    def add(self, frame: int, marker: str) -> None:
        """Ask for everything before a frame to be decided."""
        self._made += 1
        self._open[str(self._made)] = frame, marker
        self._unsent.append(str(self._made))

    def begin_anew(self) -> None:
        """Begin another connection, over which nothing was sent."""
        self._unsent = deque(self._open)

    @property
    def frame(self) -> int | None:
        """The frame before which the next one is to be sent; None if there is none to be sent."""
        return self._open[self._unsent[0]][0] if self._unsent else None

    def send(self) -> str:
        """Return the id of the next one, which counts as sent. Raises IndexError if there is none."""
        return self._unsent.popleft()

    def answer(self, answer: messages.Flushed) -> list[messages.Flushed]:
        """Return an answer of the server as it is to be shown; nothing if it was before."""
        if answer.id not in self._open:
            return []
        if answer.id in self._unsent:  # it was sent over an earlier connection
            self._unsent.remove(answer.id)
        return [messages.Flushed(self._open.pop(answer.id)[1])]

    def answer_all(self) -> list[messages.Flushed]:
        """Return the answers to all of them: everything is decided."""
        answers = [messages.Flushed(marker) for _, marker in self._open.values()]
        self._open.clear()
        self._unsent.clear()
        return answers
