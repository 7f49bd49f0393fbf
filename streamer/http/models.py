"""`GET /v1/models` and `GET /v1/models/{id}`: what is loaded, and the name that clients have in their source."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.types import ModelCard
from streamer.http.errors import ApiError

ALIAS = "whisper-1"
"""Written into many programs; it stands for whatever is loaded."""


class Models:
    """The one model of a server, under its names."""

    def __init__(self, card: ModelCard, gate: Callable[[Request], ApiError | None], *, strict: bool) -> None:
        """`gate` says why a client is not served; `strict` takes no other names for the model."""
        self.card = card
        self._names = tuple(dict.fromkeys((card.name, ALIAS)))
        self._gate = gate
        self._strict = strict
        self._loaded = int(time.time())

    def check(self, name: str) -> None:
        """Raise ApiError if a recording may not be transcribed by the model of this name; empty for any."""
        if name and self._strict and name not in self._names:
            raise self._unknown(name)

    async def list(self, request: Request) -> Response:
        """Answer with all of them."""
        refusal = self._gate(request)
        if refusal is not None:
            return refused(refusal)
        return JSONResponse({"object": "list", "data": [self._described(name) for name in self._names]})

    async def one(self, request: Request) -> Response:
        """Answer with the one that the path names."""
        name = request.path_params["id"]
        refusal = self._gate(request) or (None if name in self._names else self._unknown(name))
        return refused(refusal) if refusal is not None else JSONResponse(self._described(name))

    def _described(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": self._loaded, "owned_by": "streamer"}

    def _unknown(self, name: str) -> ApiError:
        complaint = f"the model {name[:80]!r} does not exist; there are: {', '.join(self._names)}"
        return ApiError(404, "model_not_found", complaint, param="model")


def refused(error: ApiError) -> Response:
    """Return an error as a response."""
    return JSONResponse(error.body, error.status, error.headers)
