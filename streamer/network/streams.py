"""The WebSocket routes: each path speaks one protocol, and all are let in by the same rules."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime
from functools import partial

from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from streamer.connection.entrance import Entrance
from streamer.connection.wire import WebSocketWire
from streamer.core.commands import ErrorCode
from streamer.metrics import Metrics
from streamer.network.access import Access, Right
from streamer.network.sparing import SparingLogger
from streamer.protocols.handshake import Handshake, HandshakeError, House
from streamer.protocols.table import PROTOCOLS, WireProtocol

logger = logging.getLogger(__name__)

NO_ROOM = frozenset({ErrorCode.BUSY, ErrorCode.OVERLOADED})


class Streams:
    """Handlers of one server."""

    def __init__(
        self,
        access: Access,
        entrance: Entrance,
        metrics: Metrics,
        house: House,
        *,
        send_timeout_s: float,
    ) -> None:
        """`send_timeout_s` is the time that a client has to take a message."""
        self._access = access
        self._entrance = entrance
        self._metrics = metrics
        self._house = house
        self._send_timeout_s = send_timeout_s
        self._log = SparingLogger(logger)

    def routes(self) -> list[BaseRoute]:
        """Return one route a protocol."""
        return [WebSocketRoute(protocol.path, partial(self.serve, protocol)) for protocol in PROTOCOLS]

    async def serve(self, protocol: WireProtocol, websocket: WebSocket) -> None:
        """Serve a stream, or say why not."""
        handshake = read_handshake(websocket)
        denial = self._access.denial(Right.SPEAK, websocket.headers, handshake.subprotocols)
        if denial is not None:
            self._metrics.refusal(denial.reason)
            await self._deny(websocket, protocol, handshake, denial.status, denial.message)
            return
        try:
            codecs = protocol.codecs(handshake, self._house)
        except HandshakeError as error:
            self._metrics.refusal("handshake")
            await self._deny(websocket, protocol, handshake, 400, str(error))
            return
        refusal = self._entrance.refusal(len(codecs))
        if refusal is not None and protocol.busy_over_http:
            self._metrics.refusal(refusal.code)
            await self._deny(websocket, protocol, handshake, 429 if refusal.code in NO_ROOM else 503, refusal.message)
            return
        await accept(websocket, protocol, handshake)
        wire = WebSocketWire(websocket, self._send_timeout_s, websocket.state.abort)
        await self._entrance.admit_channels(wire, handshake.session, codecs, protocol.name)

    async def _deny(
        self, websocket: WebSocket, protocol: WireProtocol, handshake: Handshake, status: int, message: str
    ) -> None:
        """Refuse the WebSocket over HTTP, in the words of its protocol."""
        self._log.info("refused: %s", message, extra={"status": status, "client": websocket.client})
        refusal = protocol.refusal(handshake, status, message)
        headers = dict(refusal.headers)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        elif status in {429, 503}:
            headers["Retry-After"] = "5"
        await websocket.send_denial_response(Response(refusal.body, status, headers, refusal.media_type))


def read_handshake(websocket: WebSocket) -> Handshake:
    """Return what a request says."""
    return Handshake(
        session=secrets.token_hex(8),
        opened_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        query=tuple(websocket.query_params.multi_items()),
        headers=dict(websocket.headers),
        subprotocols=tuple(websocket.scope["subprotocols"]),
    )


async def accept(websocket: WebSocket, protocol: WireProtocol, handshake: Handshake) -> None:
    """Open the WebSocket, with a subprotocol if the client offers one that is spoken here."""
    selected = next((name for name in protocol.subprotocols if name in handshake.subprotocols), None)
    headers = [(name.encode(), value.encode()) for name, value in protocol.greeting(handshake).items()]
    await websocket.accept(selected, headers)
