"""The captions pages: a fixed table of files, read once, each at one path.

A path is looked up, never joined, so no request can name another file. The pages hold no words and no secrets: they are
given to everybody, and what they ask for is then let in or not by `access.py`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import PurePath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

SPEAKER, VIEWER = "speaker.html", "viewer.html"
"""Who speaks, at `/`, and who watches, at `/captions/{session}`; other files are at `/pages/`."""
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
"""Content Security Policy, level 3; `'self'` includes the WebSocket of the same host. As nobody may make trusted types,
no text can become markup, whatever the scripts do."""
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), screen-wake-lock=(self), fullscreen=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",  # kept, and asked for again: a new version of the daemon shows at once
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file as it is sent."""

    body: bytes
    kind: str

    @property
    def etag(self) -> str:
        """RFC 9110, 8.8.3: another file, another tag."""
        return f'"{sha256(self.body).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        """Return the file, or that the browser has it already."""
        headers = HEADERS | {"ETag": self.etag}
        if self.etag in known_tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers | {"Content-Type": self.kind})


def read_pages() -> dict[str, Page]:
    """Return every file of `streamer/pages` that a browser may have, by its name."""
    return {
        file.name: Page(file.read_bytes(), KINDS[PurePath(file.name).suffix])
        for file in resources.files("streamer.pages").iterdir()
        if PurePath(file.name).suffix in KINDS
    }


def page_routes() -> Sequence[BaseRoute]:
    """Return a route for each file."""
    pages = read_pages()
    speaker, viewer = pages.pop(SPEAKER), pages.pop(VIEWER)

    def serving(page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return page.answer(request)

        return serve

    async def watch(request: Request) -> Response:
        if not SESSION.fullmatch(request.path_params["session"]):
            raise HTTPException(404)
        return viewer.answer(request)

    return [
        Route("/", serving(speaker)),
        Route("/captions/{session}", watch),
        *(Route(f"/pages/{name}", serving(page)) for name, page in sorted(pages.items())),
    ]


def known_tags(header: str) -> list[str]:
    """Return the tags of If-None-Match; whether they are weak makes no difference (RFC 9110, 13.1.2)."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]
