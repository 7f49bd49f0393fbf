"""Where sessions are watched, and who is let in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from streamer.http.errors import ApiError
from streamer.metrics import Metrics
from streamer.network.access import Access
from streamer.network.transport import WATCH
from streamer.watching.audience import Audience
from streamer.watching.gate import Gate, refused
from streamer.watching.socket import WatchSocket
from streamer.watching.transcripts import Transcripts


def watching_routes(
    audience: Audience, access: Access, metrics: Metrics, send_timeout_s: float, draining: Callable[[], bool]
) -> Sequence[BaseRoute]:
    """Return the routes of one server; `draining` tells whether it is ending."""
    gate = Gate(access, audience, metrics)

    async def sessions(request: Request) -> Response:
        """List the sessions that live."""
        try:
            gate.check_administrator(request)
        except ApiError as error:
            return refused(error)
        listed = [
            {
                "id": broadcast.session,
                "started": broadcast.started,
                "language": broadcast.language,
                "protocol": broadcast.protocol,
                "viewers": broadcast.viewers,
            }
            for broadcast in audience.live
        ]
        return JSONResponse({"sessions": listed}, headers={"Cache-Control": "no-store"})

    socket = WatchSocket(audience, gate, metrics, send_timeout_s, draining)
    return [
        WebSocketRoute(f"{WATCH}{{session}}", socket.serve),
        Route("/v1/sessions", sessions),
        Route("/v1/sessions/{name}", Transcripts(audience, gate, metrics, send_timeout_s), methods=["GET", "HEAD"]),
    ]
