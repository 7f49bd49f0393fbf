"""What the one port answers: health, metrics, and streams."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from streamer.access import SUBPROTOCOL, Access
from streamer.admission import Admission
from streamer.connection import Connection
from streamer.metrics import CONTENT_TYPE, Metrics

logger = logging.getLogger(__name__)


class Routes:
    """Handlers of one server."""

    def __init__(
        self, access: Access, admission: Admission, metrics: Metrics, connect: Callable[[WebSocket], Connection]
    ) -> None:
        """`connect` makes the connection for a WebSocket that is accepted."""
        self._access = access
        self._admission = admission
        self._metrics = metrics
        self._connect = connect

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
                WebSocketRoute("/v1/stream", self.stream),
            ]
        )

    async def healthz(self, _: Request) -> Response:
        """Say that the process lives: its event loop answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Say whether new streams are recognised now; 503 if not."""
        if self._admission.ready:
            return JSONResponse({"status": "ready", "sessions": self._admission.count})
        status = "draining" if self._admission.draining else "not ready"
        return JSONResponse({"status": status, "sessions": self._admission.count}, 503, {"Retry-After": "5"})

    async def metrics(self, _: Request) -> Response:
        """Return the counters in Prometheus' text format."""
        return Response(self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def stream(self, websocket: WebSocket) -> None:
        """Serve a stream in the native protocol, or say why not."""
        offered = websocket.scope["subprotocols"]
        denial = self._access.denial(websocket.headers, offered)
        if denial is not None:
            self._metrics.refusal(denial.reason)
            logger.info("refused: %s", denial.message, extra={"status": denial.status, "client": websocket.client})
            headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {}
            await websocket.send_denial_response(PlainTextResponse(denial.message, denial.status, headers))
            return
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        connection = self._connect(websocket)
        refusal = self._admission.refusal()
        if refusal is not None:
            self._metrics.refusal(refusal.code)
            logger.info("refused: %s", refusal.message, extra={"close": int(refusal.close)})
            await connection.refuse(refusal)
            return
        with self._admission.admitted(connection):
            await connection.run()
