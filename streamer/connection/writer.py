"""The output side of a connection: a session's events to its client, up to the last one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from streamer.config import ServerConfig
from streamer.connection.ending import Ending, fatal
from streamer.connection.reader import Reader
from streamer.connection.seat import Seat
from streamer.connection.wire import Disconnected, Wire
from streamer.core.commands import Close, Codec, ErrorCode, Message, ProtocolError
from streamer.core.events import Done, Event, Failed
from streamer.core.session import Session
from streamer.metrics import Metrics
from streamer.watching.publisher import Publisher

logger = logging.getLogger(__name__)


class Writer:
    """Tells one client what happens; to a client that is gone or does not listen, nothing.

    It keeps no queue of its own: what is not told yet waits in the session, where newer partials replace older ones.
    """

    def __init__(
        self, *, wire: Wire, codec: Codec, config: ServerConfig, metrics: Metrics, publisher: Publisher
    ) -> None:
        """Make it; `publisher` hears all that the session says, whether or not its client does."""
        self._wire = wire
        self._codec = codec
        self._config = config
        self._metrics = metrics
        self._publisher = publisher
        self._seat: Seat | None = None
        self._news = asyncio.Event()

    def take(self, seat: Seat) -> None:
        """Speak for a session that can be resumed: what is told for good is written down before."""
        self._seat, self._wire = seat, seat.line

    def wake(self) -> None:
        """Say that the session may have something to tell."""
        self._news.set()

    async def run(self, session: Session, reader: Reader) -> Ending | None:
        """Tell everything up to the session's last event; return how it failed, if it did."""
        while True:
            self._news.clear()
            if self._seat is not None:
                await self._greet(self._seat)
            for event in session.events() if self._seat is None else await self._seat.write(session):
                self._metrics.event(event)
                self._publisher.publish(event)
                logger.debug("%s", event)  # the only line that holds what was said
                match event:
                    case Failed(_, message):
                        return fatal(ProtocolError(ErrorCode.RECOGNITION_FAILED, message, Close.OUR_FAULT))
                    case Done():
                        await self._finish(event, reader)
                        return None
                    case _:
                        await self._tell(event)
            await self._acknowledge()
            reader.make_room()
            await self._news.wait()

    async def part(self, ending: Ending) -> None:
        """Say the last words and close."""
        if ending.close is None:
            return
        if self._seat is not None:
            self._seat.line.face()
        try:
            for message in self._codec.refuse(ending.error) if ending.error else ():
                await self._wire.send(message)
            await self._wire.close(*self._codec.closing(ending.close, ending.error))
        except Disconnected as error:
            self._note_slowness(error)

    async def _greet(self, seat: Seat) -> None:
        """Welcome a client that has come, if one has, and tell it what it has missed."""
        if not seat.expected:
            return
        events = await seat.missed()
        await self._send(seat.welcome())
        for event in events:
            await self._tell(event)

    async def _finish(self, done: Done, reader: Reader) -> None:
        """Say that it is done, to a client that has come meanwhile too: it is still owed what it has missed."""
        while True:
            if self._seat is not None:
                await self._greet(self._seat)
            await self._acknowledge()
            if reader.ending is None or reader.ending.error is None:
                await self._tell(done)
            if self._seat is None or not self._seat.expected:
                return

    async def _acknowledge(self) -> None:
        """Say how much of the audio need not be sent again."""
        if self._seat is not None:
            await self._send(self._seat.acknowledgement())

    async def _tell(self, event: Event) -> None:
        """Send what is said of an event."""
        await self._send(self._codec.encode(event))

    async def _send(self, messages: Iterable[Message]) -> None:
        if self._wire.gone:
            return
        try:
            for message in messages:
                await self._wire.send(message)
        except Disconnected as error:
            self._note_slowness(error)

    def _note_slowness(self, error: Disconnected) -> None:
        if error.slow:
            self._metrics.error(ErrorCode.SLOW_CLIENT)
            logger.warning("client cut off: it took nothing for %g s", self._config.send_timeout_s)
