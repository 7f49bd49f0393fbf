"""What a client hears that comes at the last moment."""

from __future__ import annotations

from typing import Any

from streamer.config import ServerConfig
from streamer.connection.writer import Writer
from streamer.core.commands import Message
from streamer.core.events import Commit, Done, Event
from streamer.metrics import Metrics
from streamer.watching.publisher import Unwatched


class Seat:
    """Of a session that is done; its client is lost while it is told so, and another one comes."""

    def __init__(self) -> None:
        self.gone = self.expected = False
        self.line = self
        self.heard: list[Message] = []

    async def write(self, session: object) -> list[Event]:
        """Tell the end."""
        return [Done(1000, 1)]

    async def missed(self) -> list[Event]:
        """Tell what came before it."""
        self.expected = False
        return [Commit(1, 1, "w1", 0, 900, ())]

    def welcome(self) -> list[Message]:
        """Answer the one that has come."""
        return ["Ready"]

    def acknowledgement(self) -> list[Message]:
        """Say nothing of the audio."""
        return []

    async def send(self, message: Message) -> None:
        """Hear a message."""
        self.expected = not self.heard
        self.heard.append(message)


class Names:
    """A codec that says of an event what it is."""

    def encode(self, event: Event) -> list[Message]:
        """Return its name."""
        return [type(event).__name__]


class Reader:
    """One whose client has stopped."""

    ending = None


async def test_a_client_that_comes_while_another_is_told_the_end_is_told_what_it_has_missed_and_the_end() -> None:
    seat: Any = Seat()
    unused: Any = None
    codec: Any = Names()
    reader: Any = Reader()
    writer = Writer(wire=seat, codec=codec, config=ServerConfig(), metrics=Metrics(), publisher=Unwatched())
    writer.take(seat)

    assert await writer.run(unused, reader) is None
    assert seat.heard == ["Done", "Ready", "Commit", "Done"]
