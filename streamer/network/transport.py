"""How this daemon speaks HTTP and WebSocket: uvicorn's settings, and what its protocols share."""

from __future__ import annotations

import asyncio
import logging

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from streamer.config import ServerConfig
from streamer.network.door import Guests
from streamer.network.sparing import SparingLogger
from streamer.network.tls import Certificate

WATCH = "/v1/watch/"
"""What the paths of viewers' WebSockets begin with."""
PING_INTERVAL_S = 20.0
"""WebSocket pings keep NATs open and, unacknowledged, let TCP_USER_TIMEOUT find dead peers."""


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
        self.complaints = SparingLogger(logging.getLogger("uvicorn.error"))
        """For requests that make no sense."""
        super().__init__(
            Application(app),
            http="streamer.network.http_protocol:HttpProtocol",
            ws="streamer.network.websocket_protocol:WebSocketProtocol",
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


class Application:
    """The application as uvicorn is to see it.

    Its cancelled tasks are no failures, which uvicorn would log each with a traceback; and an answer before the end of
    the request says that it is the last: nobody reads the rest (RFC 9112, 9.3 and 9.6).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, whose client is gone if this is cancelled."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["state"]["unread"]():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        try:
            await self._app(scope, receive, answer if scope["type"] == "http" else send)
        except asyncio.CancelledError:
            if scope["type"] == "websocket":
                raise ClientDisconnected from None


class Presence(ServerState):
    """Who is connected, and whether anybody may be."""

    over = False
