"""`/v1/sessions/{session}.vtt`, `.srt`, `.txt` and `.json`: what was said so far as one document, or as it comes."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from streamer.http.errors import ApiError, invalid
from streamer.http.files import GoneError
from streamer.http.reply import Reply
from streamer.logs import SESSION
from streamer.metrics import Metrics
from streamer.protocols.handshake import FALSE, TRUE
from streamer.watching.audience import Audience
from streamer.watching.feed import Feed
from streamer.watching.gate import Gate
from streamer.watching.styles import STYLES
from streamer.watching.viewer import Viewer

logger = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
"""Of silence after which a comment is sent, so that nobody on the way takes the connection for dead."""
EVENT_STREAM = "text/event-stream"


class Transcripts:
    """An ASGI application: one of these paths."""

    def __init__(self, audience: Audience, gate: Gate, metrics: Metrics, send_timeout_s: float) -> None:
        self._audience = audience
        self._gate = gate
        self._metrics = metrics
        self._send_timeout_s = send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        reply = Reply(send, self._send_timeout_s, request.state.abort)
        session, _, suffix = request.path_params["name"].rpartition(".")
        try:
            try:
                await self._answer(request, reply, session, suffix)
            except ApiError as error:
                self._gate.log.info("viewer refused: %s", error.message, extra={"status": error.status})
                await reply.refuse(error)
        except GoneError as error:
            if error.slow:
                self._metrics.viewers_cut.inc()
                logger.info("viewer cut off: it took nothing for %g s", self._send_timeout_s)

    async def _answer(self, request: Request, reply: Reply, session: str, suffix: str) -> None:
        """Raise ApiError for what cannot be answered, GoneError if nobody is there to hear it."""
        style = STYLES.get(suffix)
        if style is None:
            self._gate.check(request)
            complaint = f"the path must end with one of .{', .'.join(STYLES)}, got {request.url.path[-80:]!r}"
            raise ApiError(404, "unknown_format", complaint)
        broadcast = self._gate.admit(request, session)
        SESSION.set(session)  # a name that is known; others may hold anything
        live, last = wants_live(request), last_event(request)
        await self._audience.complete(broadcast)
        omitted = {"Omitted-Commits": str(broadcast.lines.gone)} if broadcast.lines.gone else {}
        if request.method == "HEAD":
            await reply.pieces(EVENT_STREAM if live else style.media_type, [], omitted)
            return
        self._gate.check_room(broadcast)
        request.state.unhurried()
        with self._audience.seated(broadcast, request.state.abort) as viewer:
            if not live:
                await reply.pieces(style.media_type, style.whole(broadcast), omitted)
                return
            feed = Feed(broadcast, style, last or 0)
            if last is not None and broadcast.ended is not None and feed.is_complete:
                await reply.nothing()  # which tells an EventSource to come no more
                return
            await self._follow(request, reply, viewer, feed)

    async def _follow(self, request: Request, reply: Reply, viewer: Viewer, feed: Feed) -> None:
        """Tell what comes until the session's end or the viewer's."""
        async with asyncio.TaskGroup() as group:
            ears = group.create_task(self._await_leave(request, viewer))
            try:
                await reply.event(feed.greeting)
                while not viewer.left:
                    for event in feed.news():
                        await reply.event(event)
                    if viewer.broadcast.ended is not None and feed.is_complete:
                        await reply.event(feed.farewell, last=True)
                        return
                    if not await viewer.news(HEARTBEAT_S):
                        await reply.event(feed.heartbeat)
            except GoneError as error:
                gone = error
            else:
                return
            finally:
                ears.cancel()
        raise gone

    async def _await_leave(self, request: Request, viewer: Viewer) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        viewer.leave()


def wants_live(request: Request) -> bool:
    """Whether a client wants what comes, too. Raises ApiError for a `live` that is neither true nor false."""
    asked = request.query_params.get("live")
    if asked is None:
        accepted = request.headers.get("accept", "").lower().split(",")
        return any(kind.partition(";")[0].strip() == EVENT_STREAM for kind in accepted)
    if asked.lower() not in TRUE | FALSE:
        raise invalid("live", f"live must be true or false, got {asked[:80]!r}")
    return asked.lower() in TRUE


def last_event(request: Request) -> int | None:
    """Return the id that a client saw last. Raises ApiError for one that was never given."""
    seen = request.headers.get("last-event-id", "").strip()
    if not seen:
        return None
    if not (seen.isascii() and seen.isdigit() and len(seen) < 10):
        raise invalid("Last-Event-ID", f"Last-Event-ID must be a whole number, got {seen[:80]!r}")
    return int(seen)
