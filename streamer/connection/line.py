"""A wire that outlives its sockets: a session that can be resumed hangs on this one.

While no client is there, what is sent goes nowhere (it is in the journal, or it would be out of date by then), and
`await_client` waits for it to come back, as long as it may. A newer client takes the place of an older one at once,
also of one that is dead and does not know it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from streamer.connection.patience import Patience
from streamer.connection.wire import BROKEN, Disconnected, Reattached, Wire
from streamer.core.commands import Claim, Message
from streamer.journal.records import Entry


@dataclass(slots=True, eq=False)
class Attachment:
    """One client's time on a line."""

    wire: Wire
    claim: Claim | None
    """What it has of the session; None for the one that began it."""
    reached: tuple[Entry, ...] = ()
    """What was told for good, as far back as the client needs it, until it was told."""
    answered: bool = False
    """Whether the session has turned to it, or to a newer one."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the wire is not needed any more."""


class Line(Wire):
    """One session's wire."""

    def __init__(
        self,
        wire: Wire,
        claim: Claim | None,
        patience_s: float,
        on_loss: Callable[[], None] = lambda: None,
        reached: tuple[Entry, ...] = (),
    ) -> None:
        """Begin with a client, which `receive` announces like every other.

        One that is lost has `patience_s` seconds to come back; `on_loss` is told of each loss.
        """
        self.gone = False
        self._patience_s = patience_s
        self._on_loss = on_loss
        self._current = Attachment(wire, claim, reached)
        self._arrival: Attachment | None = self._current
        self._arrived = asyncio.Event()
        self._limit = Patience()
        self._speaking = False
        self._sending = False
        self.attached = True
        """Whether a client is there."""

    def attach(self, wire: Wire, claim: Claim, reached: tuple[Entry, ...]) -> tuple[Attachment, Attachment | None]:
        """Let a newer client take over; return its attachment, and the one that it replaces, if a client is there.

        The wire is in use until the attachment is over; whoever attaches ends the one that is replaced.
        """
        older = self._arrival or self._current
        older.answered = True
        replaced = older if self.attached else None
        self._arrival = Attachment(wire, claim, reached)
        self._speaking = False
        self.attached = True
        if older is self._current and self._sending:
            older.wire.abort()
        self._arrived.set()
        self._limit.shorten(0)
        return self._arrival, replaced

    def answer(self) -> Attachment:
        """Turn to the newest client; it is sent nothing before `open`."""
        if self._arrival is not None:
            self._current, self._arrival = self._arrival, None
        self._current.answered = True
        self._arrived.clear()
        return self._current

    def open(self) -> None:
        """Let the client have what is said from now on."""
        self._speaking = self._arrival is None

    def face(self) -> None:
        """Let the client that is there hear the last words, even if it was not welcomed yet.

        One that has come to a session which is going on is told otherwise, unless it was answered.
        """
        if self._arrival is self._current:
            self.answer()
        if self.attached:
            self.open()

    def give_up(self) -> None:
        """Wait no longer for the client that is lost."""
        self._limit.shorten(0)

    def end(self) -> None:
        """Let go of whatever client is there."""
        for attachment in filter(None, (self._current, self._arrival)):
            attachment.over.set()

    async def receive(self) -> Message:
        """Wait for the next message. Raises Reattached if a client has come instead, Disconnected if it is lost."""
        if self._arrival is None:
            try:
                async with self._limit.limited(None):
                    return await self._current.wire.receive()
            except TimeoutError:
                pass
            except Disconnected:
                if self._arrival is None:
                    raise
        raise Reattached

    async def await_client(self) -> None:
        """Wait for a client that is lost to come back, or another one. Raises Disconnected if none does in time."""
        if self._arrival is not None:
            return
        self._speaking = self.attached = False
        self._current.over.set()
        self._on_loss()
        try:
            async with self._limit.limited(self._patience_s):
                await self._arrived.wait()
        except TimeoutError:
            if self._arrival is None:
                self.gone = True
                raise Disconnected(BROKEN) from None

    async def send(self, message: Message) -> None:
        """Send a message to the client that is there, if one is. Raises Disconnected only if it was too slow."""
        if not self._speaking:
            return
        attachment = self._current
        self._sending = True
        try:
            await attachment.wire.send(message)
        except Disconnected as error:
            if attachment is self._current:
                self._speaking = False  # whoever receives hears of it too, and waits for the client
            if error.slow:
                raise
        finally:
            self._sending = False

    async def close(self, code: int, reason: str = "") -> None:
        """Say goodbye to the client that is there; one that was not answered is told otherwise."""
        if self.attached and self._arrival is None:
            await self._current.wire.close(code, reason)

    def abort(self) -> None:
        """Drop the client."""
        self._current.wire.abort()
