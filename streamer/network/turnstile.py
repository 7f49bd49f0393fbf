"""A turnstile before each HTTP and WebSocket connection: what came in at once is parsed in portions, in turns.

Bytes cost very different time: 16 KiB of an upload are nothing, as chunks of one byte or as empty pings they are 30 to
70 ms of the event loop, and with TLS asyncio hands over up to half a megabyte in one call. So the parser is given a
portion at a time, and when its turn is over the rest waits for the next round of the loop, unread beyond it. For the
parser this is the transport, for the transport the protocol.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from streamer.network.flow import READ_BYTES, UNSENT_BYTES, drop

PORTION_BYTES = 2_048
"""Parsed before anybody looks at the time; up to READ_BYTES after what was cheap."""
CHEAP_S = 0.0005
"""Less time than a portion of anything but harm takes."""
UPLOAD_BYTES = 65_536
"""Read at once of what is nothing to parse."""
TURN_S = 0.005
"""Of parsing, before others have their turn."""


class Turnstile(asyncio.Protocol, asyncio.Transport):
    """One connection's. What the client sent before it left is still parsed."""

    def __init__(self, parser: asyncio.Protocol) -> None:
        """`parser` is the connection's protocol; it may put another in its place."""
        super().__init__()
        self.lingers_s = 0.0
        """Time, on closing, that a client has to stop sending: a socket closed with unread data is reset, unheard."""
        self._parser = parser
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._held = b""
        self._at = 0  # what of it was parsed
        self._portion = PORTION_BYTES
        self._cheap = 0  # of what follows
        self._next: asyncio.Handle | None = None
        self._paused = False  # by the parser
        self._ended = False  # by the parser: it hears no more
        self._lost: tuple[Exception | None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        self._transport = cast(asyncio.Transport, transport)
        self.expect(0)
        if not hasattr(transport, "max_size"):
            # asyncio lets 512 KiB wait in front of the cipher, eight times what waits in front of a socket.
            self._transport.set_write_buffer_limits(UNSENT_BYTES)
        self._parser.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        if self._ended:
            return
        self._held = self._held[self._at :] + data
        self._at = 0
        if self._next is None:
            self._turn()

    def eof_received(self) -> bool | None:
        """Tell the parser; nothing is held here then, but under TLS, where its answer has no effect."""
        return self._parser.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the parser, once it has heard what came before."""
        if self._lingering is not None:
            self._lingering.cancel()
        self._lost = (exc,)
        if self._next is None:
            self._turn()

    def pause_writing(self) -> None:
        """Tell the parser that the client does not read."""
        self._parser.pause_writing()

    def resume_writing(self) -> None:
        """Tell the parser that it does again."""
        self._parser.resume_writing()

    def _turn(self) -> None:
        """Let the parser have what is held, as long as its turn is; come back for the rest."""
        self._next = None
        begun = now = self._loop.time()
        while self._held and (self._lost or not self._paused):
            self._pass_portion()
            before, now = now, self._loop.time()
            self._portion = min(2 * self._portion, READ_BYTES) if now - before < CHEAP_S else PORTION_BYTES
            if self._held and now - begun >= TURN_S:
                self._next = self._loop.call_soon(self._turn)
                break
        if self._held:
            self._stop_reading()
        elif self._lost:
            parser, self._parser = self._parser, asyncio.Protocol()  # they know each other: garbage, for minutes
            parser.connection_lost(*self._lost)
        elif not self._paused:
            self._go_on_reading()

    def _pass_portion(self) -> None:
        portion = self._held[self._at : self._at + max(self._portion, self._cheap)]
        self._at += len(portion)
        if self._at == len(self._held):
            self._forget()
        try:
            self._parser.data_received(portion)
        except BaseException:
            self.abort()
            raise

    def _forget(self) -> None:
        self._held, self._at = b"", 0

    def _stop_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._transport.is_closing():  # under TLS what is gone cannot even be told
            self._transport.resume_reading()

    # What the parser calls

    def expect(self, cheap: int) -> None:
        """Say how many bytes that follow are nothing to parse: an upload's need no portions."""
        self._cheap = cheap
        if hasattr(self._transport, "max_size"):  # asyncio's own without TLS
            self._transport.max_size = READ_BYTES if cheap < UPLOAD_BYTES else UPLOAD_BYTES

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Put another parser in place; nothing may follow a request for it before its answer (RFC 6455, 4.1)."""
        self._parser = cast(asyncio.Protocol, protocol)
        self._forget()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the parser."""
        return self._parser

    def pause_reading(self) -> None:
        """Give the parser no more."""
        self._paused = True
        self._stop_reading()

    def resume_reading(self) -> None:
        """Give the parser more again, first of what is held."""
        self._paused = False
        if not self._held:
            self._go_on_reading()
        elif self._next is None:
            self._next = self._loop.call_soon(self._turn)

    def is_closing(self) -> bool:
        """Tell whether the end was said, or heard and everything before it."""
        return self._ended or (self._transport.is_closing() and not self._held)

    def close(self) -> None:
        """Send what is written and end; a client that may be sending still has `lingers_s` to hear of it."""
        linger = self.lingers_s and not self._ended
        self._end()
        if linger and not self._transport.is_closing():
            if self.can_write_eof():
                self.write_eof()
            self._transport.resume_reading()
            self._lingering = self._loop.call_later(self.lingers_s, self._close)
        else:
            self._close()

    def abort(self) -> None:
        """End at once, whatever is not sent."""
        self._end()
        drop(self._transport)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, if anybody is there."""
        if not self._lost:
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the client has not taken."""
        # Under TLS asyncio counts what waits in front of the cipher, and not what waits behind it.
        behind = getattr(getattr(self._transport, "_ssl_protocol", None), "_transport", None)
        return self._transport.get_write_buffer_size() + (behind.get_write_buffer_size() if behind else 0)

    def can_write_eof(self) -> bool:
        """Tell whether one direction can be closed."""
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        """Close this direction when what is written is sent."""
        with suppress(OSError):  # the client was faster, and asyncio will hear of it
            self._transport.write_eof()

    def _end(self) -> None:
        self._ended = True
        self._forget()

    def _close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
