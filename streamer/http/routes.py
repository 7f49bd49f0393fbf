"""What is served over HTTP: the captions pages, what they ask for, and OpenAI's interface; and who is let in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from model.types import ModelCard, Task
from streamer.config import Config
from streamer.connection.admission import Admission
from streamer.core.commands import Configure
from streamer.core.session import Session
from streamer.decoding.decoders import Decoders
from streamer.http.capabilities import Capabilities
from streamer.http.errors import ApiError, unavailable
from streamer.http.files import Files
from streamer.http.models import Models, refused
from streamer.http.pages import page_routes
from streamer.http.transcriptions import Transcriptions
from streamer.metrics import Metrics
from streamer.network.access import Access, Right
from streamer.recognition.engine import Engine

PREFIX = "/v1/"
PATHS = {Task.TRANSCRIBE: "/v1/audio/transcriptions", Task.TRANSLATE: "/v1/audio/translations"}


def http_routes(
    *,
    config: Config,
    card: ModelCard,
    access: Access,
    admission: Admission,
    files: Files,
    decoders: Decoders,
    engine: Engine,
    metrics: Metrics,
    open_session: Callable[[str, Configure], Session],
) -> Sequence[BaseRoute]:
    """Return the routes of one server."""
    door = partial(denied, access, metrics)
    models = Models(card, door, strict=config.http.strict_model)

    def gate(request: Request) -> ApiError | None:
        if (denial := denied(access, metrics, request)) is not None:
            return denial
        refusal = files.closed or closed(admission) or files.refusal()
        if refusal is not None:
            metrics.refusal(refusal.code)
        return refusal

    def served(task: Task) -> Transcriptions:
        return Transcriptions(
            task,
            files=files,
            decoders=decoders,
            models=models,
            engine=engine,
            open_session=open_session,
            gate=gate,
            config=config.http,
            server=config.server,
        )

    return [
        *(Route(path, served(task), methods=["POST"]) for task, path in PATHS.items()),
        Route("/v1/models", models.list),
        Route("/v1/models/{id:path}", models.one),
        Route("/v1/capabilities", Capabilities(card, door, viewers_need_token=access.guards(Right.WATCH)).show),
        *page_routes(),
    ]


def denied(access: Access, metrics: Metrics, request: Request) -> ApiError | None:
    """Return why a client may not ask for anything, or None."""
    denial = access.denial(Right.SPEAK, request.headers)
    if denial is None:
        return None
    metrics.refusal(denial.reason)
    return ApiError(denial.status, "invalid_api_key" if denial.status == 401 else "forbidden", denial.message)


def closed(admission: Admission) -> ApiError | None:
    """Return why no recording is taken now, whoever sends it, or None."""
    if admission.draining:
        return unavailable("shutting_down", "the server is going away; try again")
    if trouble := admission.trouble:
        return unavailable("not_ready", f"{trouble}; try later")
    return None


async def http_error(request: Request, error: Exception) -> Response:
    """Answer for what has no route, or not with this method: under /v1/ as its clients expect it."""
    assert isinstance(error, HTTPException), "it handles nothing else"
    if not request.url.path.startswith(PREFIX):
        return PlainTextResponse(error.detail, error.status_code, error.headers)
    code = "unknown_url" if error.status_code == 404 else "method_not_allowed"
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    response = refused(ApiError(error.status_code, code, message))
    response.headers.update(error.headers or {})
    return response
