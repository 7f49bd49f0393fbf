"""uvicorn's WebSocket protocol with the bounds it lacks.

uvicorn 0.54 keeps a list of a message's fragments that empty fragments grow without end, answers any number of pings,
closes a connection in the face of a client that is still sending (which may then never see the close code), and leaves
a handshake that it cannot parse without an answer.
"""

from __future__ import annotations

from typing import cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from streamer.core.commands import Close
from streamer.network.flow import LINGER_S, READ_BYTES, UNSENT_BYTES
from streamer.network.transport import PING_INTERVAL_S, WATCH, TransportConfig
from streamer.network.turnstile import Turnstile
from streamer.protocols.table import PROTOCOLS

MAX_FRAGMENTS = 1024
"""Of one WebSocket message; real clients send one."""
MAX_CONTROLS = 500
"""Pings and pongs in a second; real clients send one every few seconds. They take some 15 us each."""
QUEUED_MESSAGES = 4
"""Messages that wait for their session before a client is read no further. uvicorn stops reading at each one, which
costs two system calls and an eighth of the event loop's time per message."""
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection that cannot be made to hold more than it should, or to work for nothing."""

    _controls = 0
    _second = 0.0

    def data_received(self, data: bytes) -> None:
        """Parse what came in."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()

    def shutdown(self) -> None:
        """Close for the daemon's end; a client that closes itself has no need to be told, nor to be waited for."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            super().shutdown()

    async def run_asgi(self) -> None:
        """Run the application; it may drop a client that does not read, for which ASGI has no word."""
        self.scope["state"]["abort"] = self.transport.abort
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        """Take what the application says; a client that was refused, or is gone already, will not shake hands.

        uvicorn would take that for a fault of the application, and log it.
        """
        await super().send(message)
        if self.transport.is_closing():
            self.handshake_complete = True

    def handle_connect(self, event: Request) -> None:
        """Take the opening request; some protocols have larger messages than the server takes elsewhere."""
        path, _, _ = event.path.partition("?")
        if path.startswith(WATCH):
            self._expect_pongs()
        larger = next((protocol.message_bytes for protocol in PROTOCOLS if protocol.path == path), 0)
        if self.conn.max_message_size is not None:
            self.conn.max_message_size = max(self.conn.max_message_size, larger)
        super().handle_connect(event)

    def handle_ping(self) -> None:
        """Answer, unless the end was said, or the client does not read: its answers would pile up here without end."""
        self._count_control()
        if self.close_sent or self.transport.get_write_buffer_size() > UNSENT_BYTES:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong, whoever asked for it."""
        self._count_control()
        super().handle_pong(event)

    def _count_control(self) -> None:
        """Close a connection with more pings and pongs in a second than anybody has a use for."""
        now = self.loop.time()
        if now - self._second >= 1:
            self._second, self._controls = now, 0
        self._controls += 1
        if self._controls > MAX_CONTROLS:
            self._fail(Close.NOT_ALLOWED, f"at most {MAX_CONTROLS} pings and pongs a second")

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment, as long as the list of them is bounded (their bytes are bounded elsewhere)."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(Close.TOO_BIG, f"a message may have {MAX_FRAGMENTS} fragments")
        else:
            super().handle_cont(event)

    def _expect_pongs(self) -> None:
        """Ping often and insist on answers: a viewer sends nothing else, and the kernel takes text for it for hours."""
        config = cast(TransportConfig, self.config)
        self.ping_interval = min(PING_INTERVAL_S, config.viewers_timeout_s)
        self.ping_timeout = config.viewers_timeout_s

    def keepalive_timeout(self) -> None:
        """Drop a client that does not answer; closing would wait for what it does not take."""
        self.scope["state"]["unanswered"] = True
        self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Hand a message over if it can be read: text is UTF-8 (RFC 6455, 8.1)."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError as error:
                self.frames = []
                self._fail(Close.UNREADABLE, f"text is not UTF-8 at byte {error.start}")
                return
        small = sum(map(len, self.frames)) < READ_BYTES
        if self.read_paused or not small or self.queue.qsize() + 1 >= QUEUED_MESSAGES:
            super().send_receive_event_to_app()
            return
        self.read_paused = True  # so that it does not stop
        super().send_receive_event_to_app()
        self.read_paused = False

    def _fail(self, code: Close, reason: str) -> None:
        if not self.close_sent:
            self.conn.fail(int(code), reason)
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Say why, and close; a client that is still sending has a while to read it."""
        if self.close_sent or self.conn.close_sent is None:
            return
        self.close_sent = self.disconnected = True
        close = self.conn.close_sent
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.read_paused = False
        cast(Turnstile, self.transport).lingers_s = LINGER_S
        self.transport.close()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)
