"""uvicorn's HTTP and WebSocket protocols with the bounds they lack.

uvicorn 0.54 gives a client any time to send a request, takes any number of connections, keeps a list of a message's
fragments that empty fragments grow without end, closes a connection in the face of a client that is still sending
(which may then never see the close code), and leaves a WebSocket handshake that it cannot parse without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from socket import socket
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request

from streamer.config import ServerConfig
from streamer.door import Guests
from streamer.protocols.commands import Close
from streamer.protocols.table import PROTOCOLS
from streamer.tls import Certificate

MAX_FRAGMENTS = 1024
"""Of one WebSocket message; real clients send one."""
QUEUED_MESSAGES = 4
"""Messages that wait for their session before a client is read no further. uvicorn stops reading at each one, which
costs two system calls and an eighth of the event loop's time per message."""
WATCH = "/v1/watch/"
"""What the paths of viewers' WebSockets begin with."""
UNSENT_BYTES = 65_536
"""Under TLS, what a client that does not read makes us hold before its session waits; asyncio's default without TLS."""
READ_BYTES = 16_384
"""Read from a socket at once: what one client can make the event loop parse before others have their turn."""
LINGER_S = 2.0
"""Time a client that broke the protocol has to read why."""
PING_INTERVAL_S = 20.0
"""WebSocket pings keep NATs open and, unacknowledged, let TCP_USER_TIMEOUT find dead peers."""
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class TransportConfig(uvicorn.Config):
    """uvicorn's settings for this daemon."""

    def __init__(
        self, app: ASGIApp, config: ServerConfig, guests: Guests, certificate: Certificate | None = None
    ) -> None:
        """`app` is the ASGI application; `guests` are who is connected; with a `certificate` TLS is spoken."""
        self.open_timeout_s = config.open_timeout_s
        self.send_timeout_s = config.send_timeout_s
        self.certificate = certificate
        self.guests = guests
        self.viewers_timeout_s = config.send_timeout_s
        super().__init__(
            Interruptible(app),
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=config.max_message_bytes,
            ws_ping_interval=PING_INTERVAL_S,
            # A pong waits behind the audio a fast client has in flight; its lateness says nothing.
            ws_ping_timeout=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )


class Interruptible:
    """An application whose cancelled tasks are no failures; uvicorn would log each with a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, whose client is gone if this is cancelled."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] == "websocket":
                raise ClientDisconnected from None


class Presence(ServerState):
    """Who is connected, and whether anybody may be."""

    over = False


class Listener(uvicorn.Server):
    """uvicorn's server; signals are the daemon's own business."""

    def __init__(self, config: TransportConfig) -> None:
        super().__init__(config)
        self.server_state: Presence = Presence()
        self.servers: list[asyncio.Server] = []
        self.listening = asyncio.Event()
        self._ending = asyncio.Event()

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Listen until the end; cancelled, drop everybody at once with what they have under way."""
        try:
            await super().serve(sockets)
        finally:
            await self._drop()

    def end(self) -> None:
        """Close what is open and let serve() return."""
        self.should_exit = True
        self._ending.set()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and say so; uvicorn's own would leave TLS asyncio's bounds, 60 s to open and 30 s to close."""
        config = cast(TransportConfig, self.config)
        limits: dict[str, Any] = {}
        if config.certificate is not None:
            limits["ssl"] = config.certificate.context
            limits["ssl_handshake_timeout"] = config.open_timeout_s
            limits["ssl_shutdown_timeout"] = config.send_timeout_s
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        limits["start_serving"] = False  # whoever is cancelled meanwhile must know what is to be closed
        for listener in sockets or ():
            server = await loop.create_server(self._protocol, sock=listener, backlog=config.backlog, **limits)
            self.servers.append(server)
            await server.start_serving()
        self.started = True
        self.listening.set()

    async def _drop(self) -> None:
        """Leave nothing on the event loop. A socket that is closed while the loop watches it lets a later one hang."""
        self.server_state.over = True
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            connection.transport.abort()
        while self.server_state.connections:  # noqa: ASYNC110  # asyncio tells them in its next round
            await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self.config, self.server_state, self.lifespan.state)

    async def main_loop(self) -> None:
        """Keep the Date header current until the end (uvicorn's own loop wakes up ten times a second)."""
        while not self.should_exit:
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


class HttpProtocol(H11Protocol):
    """An HTTP connection that has open_timeout_s for all it wants, unless it becomes a WebSocket or is given more."""

    _deadline: asyncio.TimerHandle | None = None
    _opened = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a connection."""
        super().connection_made(transport)
        if transport.get_extra_info("sslcontext"):
            # asyncio lets 512 KiB wait in front of the cipher, eight times what waits in front of a socket.
            transport.set_write_buffer_limits(UNSENT_BYTES)
        # What ASGI has no word for: more time for a request that was found good, none for a client that takes nothing.
        self.app_state = {**self.app_state, "unhurried": self._cancel_deadline, "abort": transport.abort}
        self._set_deadline()
        if cast(Presence, self.server_state).over:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; nothing once the connection is closing, as without TLS.

        h11 bounds a head that is not complete only, so what came at once is cut: the bound is then the same.
        """
        step = READ_BYTES if self.conn.their_state is h11.IDLE else len(data)
        for at in range(0, len(data), max(step, 1)):
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return  # nothing may follow a request for a WebSocket before the answer (RFC 6455, 4.1)
            super().data_received(data[at : at + step])
            if not self._opened and self.cycle is not None:
                self._note_opening()

    def on_response_complete(self) -> None:
        """Go on with the connection; what follows, be it a body that nobody read, has the usual time again."""
        if self._deadline is None and not self.transport.is_closing():
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


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection that cannot be made to hold more than it should."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # asyncio's own transports; others have their own limit
            transport.max_size = READ_BYTES

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up; a TLS transport that is gone cannot even be told to go on reading."""
        self.read_paused = False
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came in; nothing once the connection is closing, for TLS hands over what it still has."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()

    async def run_asgi(self) -> None:
        """Run the application; it may drop a client that does not read, for which ASGI has no word."""
        self.scope["state"]["abort"] = self.transport.abort
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        """Take what the application says; a client that was refused, or is gone already, will not shake hands.

        uvicorn would take that for a fault of the application, and log it.
        """
        await super().send(message)
        refused = message["type"] == "websocket.http.response.body" and not message.get("more_body", False)
        if refused or self.transport.is_closing():
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
        if self.close_sent or self.transport.get_write_buffer_size() > UNSENT_BYTES:
            self.conn.data_to_send()
        else:
            super().handle_ping()

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
        """Say why, then read on for a while without looking: a socket closed with unread data is reset, unheard."""
        if self.close_sent or self.conn.close_sent is None:
            return
        self.close_sent = self.disconnected = True
        close = self.conn.close_sent
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.read_paused = False
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)
