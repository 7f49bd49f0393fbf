"""What the one port answers: health, metrics, and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from streamer.connection.admission import Admission
from streamer.http.routes import http_error
from streamer.metrics import CONTENT_TYPE, Metrics
from streamer.microphone.own_microphone import OwnMicrophone
from streamer.network.access import Access, Right


class Routes:
    """Handlers of one server."""

    def __init__(
        self,
        access: Access,
        admission: Admission,
        metrics: Metrics,
        others: Sequence[BaseRoute],
        microphone: OwnMicrophone | None = None,
        *,
        degraded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`others` are served beside: streams and files; of the `microphone` its state is told.

        `degraded` says whether the journal cannot be written.
        """
        self._degraded = degraded
        self._microphone = microphone
        self._access = access
        self._others = others
        self._admission = admission
        self._metrics = metrics

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
                *self._others,
            ],
            exception_handlers={HTTPException: http_error},
        )

    async def healthz(self, _: Request) -> Response:
        """Say that the process lives: its event loop answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Say whether new streams are recognised now; 503 if not. A microphone that is missing keeps nobody out."""
        told: dict[str, str | int] = {"sessions": self._admission.count}
        if self._microphone is not None:
            told["microphone"] = self._microphone.state
        if self._admission.ready:
            told["journal"] = "failing" if self._degraded() else "ok"
            return JSONResponse({"status": "ready", **told})
        status = "draining" if self._admission.draining else "not ready"
        return JSONResponse({"status": status, **told}, 503, {"Retry-After": "5"})

    async def metrics(self, request: Request) -> Response:
        """Return the counters in Prometheus' text format."""
        denial = self._access.denial_of(Right.ADMINISTER, request)
        if denial is not None:
            self._metrics.refusal(denial.reason)
            headers = {"WWW-Authenticate": "Bearer"} if denial.status == 401 else {}
            return PlainTextResponse(denial.message, denial.status, headers)
        return Response(self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})
