"""Wyoming's port: questions are answered at once, whatever the model is doing; a session is for those who speak.

Home Assistant asks who is there (`describe`) before it adds a server and each time it starts, and gives it a second:
the answer takes no session, waits for no model, and is given by a full server too. A connection that asks for a
transcript or sends audio is then handed over, with that very message, to a session of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress

from streamer.config import Config
from streamer.connection.entrance import Entrance
from streamer.connection.wire import Disconnected
from streamer.core.commands import Close, ErrorCode, ProtocolError
from streamer.network.tcp_wire import TcpWire
from streamer.protocols.handshake import House
from streamer.protocols.wyoming import SPEECH, WyomingCodec
from streamer.protocols.wyoming_events import EventReader, write
from streamer.protocols.wyoming_questions import answer

logger = logging.getLogger(__name__)


class WyomingPort:
    """Serves one connection after another, many at once."""

    def __init__(self, config: Config, house: House) -> None:
        """`house` is what can be said of the model before it is loaded."""
        self._max_bytes = config.server.max_message_bytes
        self._open_timeout_s = config.server.open_timeout_s
        self._house = house
        self._entrance: Entrance | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._ending = False

    def open(self, house: House, entrance: Entrance) -> None:
        """Take sessions from now on: the model is loaded."""
        self._house = house
        self._entrance = entrance

    def end(self) -> None:
        """Let go of those who only ask."""
        self._ending = True
        for limit in self._limits:
            if not limit.expired():  # one that is over in this very turn cannot be moved
                limit.reschedule(0)

    async def serve(self, wire: TcpWire) -> None:
        """Serve one client to its end."""
        codec = WyomingCodec(self._house, self._max_bytes)
        try:
            if await self._answer_questions(wire):
                await self._admit(wire)
        except ProtocolError as error:
            if self._entrance is not None:
                self._entrance.metrics.refusal(error.code)
            logger.info("refused: %s", error.message)
            with suppress(Disconnected):
                for message in codec.refuse(error):
                    await wire.send(message)
                await wire.close(error.close)
        except Disconnected:
            pass

    async def _answer_questions(self, wire: TcpWire) -> bool:
        """Answer until somebody speaks, and return whether anybody did; the wire then begins with those words.

        Raises ProtocolError for what is no event, and for none in time.
        """
        loop = asyncio.get_running_loop()
        events = EventReader(self._max_bytes)
        limit = asyncio.timeout(0 if self._ending else self._open_timeout_s)
        try:
            async with limit:
                self._limits.add(limit)
                while data := await wire.receive():
                    assert isinstance(data, bytes), "TCP carries bytes"
                    for event in events.receive(data):
                        wire.opened()
                        if event.type in SPEECH:
                            wire.unread(write(event) + events.rest)
                            return True
                        if told := answer(event, self._house):
                            await wire.send(write(told))
                        if not self._ending:
                            limit.reschedule(loop.time() + self._open_timeout_s)
                return False
        except TimeoutError:
            if self._ending:
                return False
            complaint = f"an event must come within {self._open_timeout_s:g} s"
            raise ProtocolError(ErrorCode.OPEN_TIMEOUT, complaint, Close.NOT_ALLOWED) from None
        finally:
            self._limits.discard(limit)

    async def _admit(self, wire: TcpWire) -> None:
        """Hand the client over to a session. Raises ProtocolError while the model is not loaded."""
        if self._entrance is None:
            raise ProtocolError(ErrorCode.NOT_READY, "the model is being loaded; try later", Close.TRY_LATER)
        codec = WyomingCodec(self._house, self._max_bytes)
        await self._entrance.admit(wire, secrets.token_hex(8), codec, "wyoming")
