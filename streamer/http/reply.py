"""What a client is answered: one body, or events as they come; never more slowly taken than a client may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import JSONResponse
from starlette.types import Message, Send

from streamer.http import answers
from streamer.http.errors import ApiError
from streamer.http.files import GoneError

PIECE_CHARACTERS = 32_768
NO_SNIFF = {"X-Content-Type-Options": "nosniff"}
"""What people say is no markup, whatever it looks like."""


class Reply:
    """The answer to one request."""

    def __init__(self, send: Send, timeout_s: float, abort: Callable[[], None]) -> None:
        """`timeout_s` is what a client has to take a piece; `abort` drops its connection with all that is in it."""
        self._send = send
        self._timeout_s = timeout_s
        self._abort = abort
        self._begun = False

    async def whole(self, kind: str, content: str) -> None:
        """Answer with one body."""
        body = content.encode()
        await self._start(200, {"Content-Type": kind, "Content-Length": str(len(body))})
        await self._put({"type": "http.response.body", "body": body})

    async def pieces(self, kind: str, content: Iterable[str], headers: Mapping[str, str]) -> None:
        """Answer with one body that is made while it is taken, so that a slow client holds little of it."""
        await self._start(200, {"Content-Type": kind, "Cache-Control": "no-store", **NO_SNIFF, **headers})
        waiting: list[str] = []
        size = 0
        for piece in content:
            waiting.append(piece)
            size += len(piece)
            if size >= PIECE_CHARACTERS:
                await self._put({"type": "http.response.body", "body": "".join(waiting).encode(), "more_body": True})
                waiting, size = [], 0
        await self._put({"type": "http.response.body", "body": "".join(waiting).encode()})

    async def nothing(self) -> None:
        """Answer that there is nothing, and will be nothing."""
        await self._start(204, {})
        await self._put({"type": "http.response.body", "body": b""})

    async def event(self, data: bytes, *, last: bool = False) -> None:
        """Send an event of a stream, which begins with the first one."""
        if not self._begun:
            headers = {"Content-Type": answers.EVENTS_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            await self._start(200, headers | NO_SNIFF)
        await self._put({"type": "http.response.body", "body": data, "more_body": not last})

    async def refuse(self, error: ApiError) -> None:
        """Say what is wrong: by the status, or where that is said already, by the last event."""
        if self._begun:
            await self.event(answers.event(error.body), last=True)
            return
        response = JSONResponse(error.body, error.status, error.headers)
        await self._put({"type": "http.response.start", "status": error.status, "headers": response.raw_headers})
        await self._put({"type": "http.response.body", "body": response.body})

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        self._begun = True
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._put({"type": "http.response.start", "status": status, "headers": raw})

    async def _put(self, message: Message) -> None:
        """Send; a client that does not take it in time is cut off. Raises GoneError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(message)
        except TimeoutError:
            self._abort()
            raise GoneError(slow=True) from None
        except OSError:
            raise GoneError from None
