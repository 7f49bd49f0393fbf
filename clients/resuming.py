"""Open a stream that outlives its connections.

    async with connect_resuming("ws://127.0.0.1:8765", live=True, notice=print) as stream:
        ...  # as with connect

`resuming_stream.py` says how it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from clients.connection import Stream, dial
from clients.resuming_stream import ResumingStream
from streamer.protocols import messages

HEARTBEAT_S = 5.0
"""Between pings, and until one that is not answered ends a connection (`dial` says which)."""


@asynccontextmanager
async def connect_resuming(
    url: str,
    *,
    token: str | None = None,
    live: bool = False,
    notice: Callable[[str], None] = lambda _: None,
    give_up_s: float | None = None,
    open_timeout_s: float = 10.0,
    ca_file: Path | None = None,
    **start: Any,
) -> AsyncGenerator[ResumingStream, None]:
    """Open a stream that outlives its connections, and close it in the end; `start` holds the fields of `start`.

    live: whether the audio comes whether or not there is room for it; what is too much then becomes a gap. Other
    sources wait. notice: told when a connection is lost, and when there is one again. give_up_s: time after which a
    connection that is lost is not tried again, nor are connections over which nothing is decided; None tries for ever,
    but for a live source that was stopped: ENDING_S must do then, for whoever stops it wants to leave.

    open_timeout_s: for each attempt to connect, and then for the answer to `start`; who is silent for longer is tried
    again.

    Raises Unreachable if there is no server at `url` or it refuses to talk, StreamError if it refuses this stream,
    ConnectionLost if it says nothing of it.
    """
    wanted = messages.Start(**start, resumable=True)

    def again(request: messages.Start) -> AbstractAsyncContextManager[Stream]:
        return dial(
            url,
            request,
            token=token,
            ca_file=ca_file,
            open_timeout_s=open_timeout_s,
            heartbeat_s=HEARTBEAT_S,
            live=live,
        )

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(again(wanted))
        stream = ResumingStream(
            wanted,
            first.ready,
            live=live,
            notice=notice,
            give_up_s=give_up_s,
            attempt_s=2 * open_timeout_s,  # connecting, and then the answer to `start`
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(stream.run(first, again))
        try:
            yield stream
        finally:
            running.cancel()
