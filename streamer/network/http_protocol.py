"""uvicorn's HTTP protocol with the bounds it lacks.

uvicorn 0.54 gives a client any time to send a request, reads on for a body that nobody wants, parsing all of it, and
answers what it cannot parse even where an answer has begun.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from streamer.network.flow import LINGER_S
from streamer.network.transport import Presence, TransportConfig
from streamer.network.turnstile import Turnstile


class HttpProtocol(H11Protocol):
    """An HTTP connection that has open_timeout_s for all it wants, unless it becomes a WebSocket or is given more."""

    _deadline: asyncio.TimerHandle | None = None
    _opened = False
    _turnstile: Turnstile
    _request: RequestResponseCycle | None = None
    _body_left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a connection."""
        super().connection_made(transport)
        self._turnstile = cast(Turnstile, transport)
        self.logger = cast(logging.Logger, cast(TransportConfig, self.config).complaints)
        self.app_state = {
            **self.app_state,
            # What ASGI has no word for: more time for a request that was found good, none for a client that takes
            # nothing, and whether an answer comes before the end of the request.
            "unhurried": self._cancel_deadline,
            "abort": transport.abort,
            "unread": self._is_unread,
        }
        self._set_deadline()
        if cast(Presence, self.server_state).over:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a portion of a request, small enough for h11's bound on what is not complete to be one on any head."""
        super().data_received(data)
        if self.cycle is None:
            return
        if not self._opened:
            self._note_opening()
        if self.cycle is not self._request:
            self._request = self.cycle
            self._body_left = body_length(self.headers)
        if self._body_left:
            # At most so much of this was of the body, so at least the rest follows; and then who knows.
            self._body_left = max(self._body_left - len(data), 0)
            self._turnstile.expect(self._body_left)

    def on_response_complete(self) -> None:
        """Go on with the connection; what follows has the usual time again."""
        if not self.transport.is_closing():
            self._cancel_deadline()
            self._set_deadline()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; from now on the session's limits hold."""
        self._cancel_deadline()
        self._note_opening()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Say that the request cannot be understood, or close if something was said already."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # what was to be said is not
            self.cycle.message_event.set()
        self._turnstile.lingers_s = LINGER_S
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Let go of the client when it has its answer; at once, if it has it and only does not leave."""
        if not self.transport.is_closing():
            super().shutdown()
        if self.transport.is_closing() and not self._is_untaken():
            self.transport.abort()

    def _is_untaken(self) -> bool:
        """Tell whether a whole answer is on its way to the client."""
        complete = self.cycle is not None and self.cycle.response_complete
        return complete and self.transport.get_write_buffer_size() > 0

    def _is_unread(self) -> bool:
        """Tell whether the request goes on, as an answer begins. The client then has time to send it, unheard."""
        unread = self.conn.their_state is h11.SEND_BODY
        if unread:
            self._turnstile.lingers_s = cast(TransportConfig, self.config).open_timeout_s
        return unread

    def _note_opening(self) -> None:
        self._opened = True
        cast(TransportConfig, self.config).guests.opened(self.transport.get_extra_info("socket").fileno())

    def _set_deadline(self) -> None:
        config = cast(TransportConfig, self.config)
        self._deadline = self.loop.call_later(config.open_timeout_s, self.transport.close)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def body_length(headers: list[tuple[bytes, bytes]]) -> int:
    """Return how long a body says it is, by lower-case headers; 0 if it says so piece by piece."""
    told = dict(headers)
    length = told.get(b"content-length", b"")
    return int(length) if length.isdigit() and b"transfer-encoding" not in told else 0
