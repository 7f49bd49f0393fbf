"""`GET /v1/capabilities`: what the daemon can do, for a page that offers a choice of it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.text.languages import LANGUAGES
from model.types import ModelCard
from streamer.http.errors import ApiError
from streamer.http.models import refused


class Capabilities:
    """What one server offers to those who may ask."""

    def __init__(
        self, card: ModelCard, gate: Callable[[Request], ApiError | None], *, viewers_need_token: bool
    ) -> None:
        """`gate` says why a client is not served."""
        self._gate = gate
        self._answer = {
            "model": card.name,
            "languages": {code: LANGUAGES.get(code, code) for code in card.languages},
            "tasks": [str(task) for task in card.tasks],
            "viewers_need_token": viewers_need_token,
        }

    async def show(self, request: Request) -> Response:
        """Answer with the model's name, its languages (English names by code), its tasks, and who needs a token."""
        refusal = self._gate(request)
        headers = {"Cache-Control": "no-store"}
        return refused(refusal) if refusal is not None else JSONResponse(self._answer, headers=headers)
