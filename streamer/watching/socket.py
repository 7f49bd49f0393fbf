"""`/v1/watch/{session}`: a WebSocket that tells what a session says, and listens to nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from starlette.websockets import WebSocket

from streamer.connection.wire import Disconnected, WebSocketWire, Wire
from streamer.core.commands import Close, ErrorCode
from streamer.http.errors import ApiError
from streamer.logs import SESSION
from streamer.metrics import Metrics
from streamer.protocols.messages import Error
from streamer.protocols.native_messages import text
from streamer.watching.audience import Audience
from streamer.watching.gate import Gate, refused
from streamer.watching.messages import opening
from streamer.watching.viewer import LostPlaceError, Viewer

logger = logging.getLogger(__name__)

SUBPROTOCOL = "streamer.v1"

Farewell: TypeAlias = tuple[Close, Error | None]


class WatchSocket:
    """The handler of one server."""

    def __init__(
        self, audience: Audience, gate: Gate, metrics: Metrics, send_timeout_s: float, draining: Callable[[], bool]
    ) -> None:
        """`draining` tells whether the server is ending."""
        self._draining = draining
        self._audience = audience
        self._gate = gate
        self._metrics = metrics
        self._send_timeout_s = send_timeout_s

    async def serve(self, websocket: WebSocket) -> None:
        """Show a session, or say why not."""
        session = websocket.path_params["session"]
        try:
            broadcast = self._gate.admit(websocket, session)
            SESSION.set(session)  # a name that is known; others may hold anything
        except ApiError as error:
            self._gate.log.info("viewer refused: %s", error.message, extra={"status": error.status})
            await websocket.send_denial_response(refused(error))
            return
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
        wire = WebSocketWire(websocket, self._send_timeout_s, websocket.state.abort)
        await self._audience.complete(broadcast)
        try:
            self._gate.check_room(broadcast)
        except ApiError as error:
            await self._part(wire, Close.TRY_LATER, Error(ErrorCode.BUSY, error.message))
            return
        with self._audience.seated(broadcast, websocket.state.abort) as viewer:
            await self._watch(viewer, wire)
            if getattr(websocket.state, "unanswered", False):
                self._note_cut("it answered no ping")

    async def _watch(self, viewer: Viewer, wire: Wire) -> None:
        async with asyncio.TaskGroup() as group:
            ears = group.create_task(self._listen(viewer, wire))
            try:
                await self._show(viewer, wire)
            except Disconnected as error:
                self._note_slowness(error)
                return
            except LostPlaceError:
                self._note_cut("it fell too far behind")
                lost = Error(ErrorCode.SLOW_CLIENT, "too much was said meanwhile; come again")
                ending: Farewell = Close.TRY_LATER, lost
            else:
                ending = self._ending(viewer, wire)
            finally:
                ears.cancel()
        await self._part(wire, *ending)

    async def _show(self, viewer: Viewer, wire: Wire) -> None:
        """Tell everything up to the session's end or the viewer's. Raises Disconnected, LostPlaceError."""
        first, rest = opening(viewer.broadcast)
        await wire.send(first)
        for line in rest:
            await wire.send(line.message)
        while not viewer.left:
            message = viewer.next()
            if message is not None:
                await wire.send(message)
            elif viewer.broadcast.ended is not None:
                return
            else:
                await viewer.news()

    async def _listen(self, viewer: Viewer, wire: Wire) -> None:
        """Wait for the viewer to go, or to say something, which is as much as to be sent away."""
        with suppress(Disconnected):  # the wire knows
            await wire.receive()
        viewer.leave()

    def _ending(self, viewer: Viewer, wire: Wire) -> Farewell:
        if viewer.left and not wire.gone:
            return Close.NOT_ALLOWED, Error(ErrorCode.UNEXPECTED_MESSAGE, "viewers can only listen, got a message")
        # Only who comes again sees whether the session goes on: with the next server, or when its client is back.
        goes_on = self._draining() or viewer.broadcast.resumable
        return Close.RESTARTING if goes_on else Close.NORMAL, None

    async def _part(self, wire: Wire, close: Close, last: Error | None) -> None:
        try:
            if last is not None:
                await wire.send(text(last))
            await wire.close(close, last.code if last is not None else "")
        except Disconnected as error:
            self._note_slowness(error)

    def _note_slowness(self, error: Disconnected) -> None:
        if error.slow:
            self._note_cut(f"it took nothing for {self._send_timeout_s:g} s")

    def _note_cut(self, reason: str) -> None:
        self._metrics.viewers_cut.inc()
        logger.info("viewer cut off: %s", reason)
