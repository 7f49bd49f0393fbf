"""Who may watch, and how they are told that they may not."""

from __future__ import annotations

import logging

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from streamer.http.errors import ApiError, Kind
from streamer.metrics import Metrics
from streamer.network.access import Access, Right
from streamer.network.sparing import SparingLogger
from streamer.watching.audience import Audience
from streamer.watching.broadcast import Broadcast


class Gate:
    """The door to the sessions of one server."""

    def __init__(self, access: Access, audience: Audience, metrics: Metrics) -> None:
        self._access = access
        self._audience = audience
        self._metrics = metrics
        self.log = SparingLogger(logging.getLogger(__name__))
        """For those who are turned away."""

    def admit(self, connection: HTTPConnection, session: str) -> Broadcast:
        """Return the session that somebody wants to see. Raises ApiError if they may not, or there is none."""
        self.check(connection)
        broadcast = self._audience.find(session)
        if broadcast is None:
            complaint = f"the session {session[:80]!r} does not exist, or ended too long ago"
            raise ApiError(404, "session_not_found", complaint)
        return broadcast

    def check_room(self, broadcast: Broadcast) -> None:
        """Raise ApiError if there is no room for one more viewer."""
        full = self._audience.refusal(broadcast)
        if full is not None:
            self._metrics.refusal("viewers")
            raise ApiError(429, "busy", full, kind=Kind.LIMIT)

    def check(self, connection: HTTPConnection) -> None:
        """Raise ApiError if somebody may not watch."""
        self._require(Right.WATCH, connection)

    def check_administrator(self, connection: HTTPConnection) -> None:
        """Raise ApiError if somebody may not see which sessions there are."""
        self._require(Right.ADMINISTER, connection)

    def _require(self, right: Right, connection: HTTPConnection) -> None:
        denial = self._access.denial_of(right, connection)
        if denial is not None:
            self._metrics.refusal(denial.reason)
            code = "invalid_api_key" if denial.status == 401 else "forbidden"
            raise ApiError(denial.status, code, denial.message)


def refused(error: ApiError) -> Response:
    """Return an error as a response."""
    return JSONResponse(error.body, error.status, error.headers)
