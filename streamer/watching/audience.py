"""All sessions that can be watched, those that ended a while ago included, and all who watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from streamer.config import WatchConfig
from streamer.core.events import Event
from streamer.metrics import Metrics
from streamer.watching.broadcast import Broadcast
from streamer.watching.past import Past
from streamer.watching.viewer import Viewer

logger = logging.getLogger(__name__)

DRAIN_S = 1.0
"""Time that viewers have to take the last words when the server ends."""


class Host:
    """The publisher of one session."""

    def __init__(self, audience: Audience, protocol: str) -> None:
        self._audience = audience
        self._protocol = protocol
        self._broadcast: Broadcast | None = None

    def begin(self, session: str, language: str | None, past: Past | None = None) -> None:
        """Let the session be seen."""
        self._broadcast = self._audience.open(session, self._protocol, language, past)

    def publish(self, event: Event) -> None:
        """Hand on what it says."""
        if self._broadcast is not None:
            self._broadcast.publish(event)

    def end(self, audio: int, *, resumable: bool) -> None:
        """Close it; it can be read for a while."""
        if self._broadcast is not None:
            self._audience.close(self._broadcast, audio, resumable=resumable)


class Audience:
    """The broadcasts of one server by session, and their viewers.

    Bounds: a live session each has its broadcast; of those that ended, `max_ended` are kept, the oldest goes first, and
    none for longer than `keep_s`. A viewer who finds all seats taken is refused.
    """

    def __init__(self, config: WatchConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._broadcasts: dict[str, Broadcast] = {}
        self._pasts: WeakKeyDictionary[Broadcast, Past] = WeakKeyDictionary()  # of sessions that were resumed
        self._ended: dict[str, asyncio.TimerHandle] = {}  # in the order of their ends
        self._viewers: dict[Viewer, Callable[[], None]] = {}
        self._empty = asyncio.Event()

    def host(self, protocol: str) -> Host:
        """Return what a session of this protocol is to publish with."""
        return Host(self, protocol)

    def find(self, session: str) -> Broadcast | None:
        """Return a session's broadcast, None if there is none or it ended too long ago."""
        return self._broadcasts.get(session)

    @property
    def live(self) -> list[Broadcast]:
        """Those that have not ended, the oldest first."""
        return [broadcast for broadcast in self._broadcasts.values() if broadcast.ended is None]

    def open(self, session: str, protocol: str, language: str | None, past: Past | None = None) -> Broadcast:
        """Begin a broadcast, in the place of an ended one of the same name; `past` is of a session that is resumed."""
        self._forget(session)
        commits = past.commits if past is not None else 0
        broadcast = Broadcast(session, protocol, now(), language, self._config.max_session_bytes, commits=commits)
        self._broadcasts[session] = broadcast
        if past is not None:
            self._pasts[broadcast] = past
        return broadcast

    async def complete(self, broadcast: Broadcast) -> None:
        """Before somebody is shown a session that was resumed, look up what it said before; once is enough."""
        past = self._pasts.get(broadcast)
        if past is not None:
            await past.go_before(broadcast, self._config.max_session_bytes)

    def close(self, broadcast: Broadcast, audio: int, *, resumable: bool) -> None:
        """End a broadcast, and keep it for those who come late."""
        broadcast.end(now(), audio, resumable=resumable)
        if self._broadcasts.get(broadcast.session) is not broadcast:
            return
        loop = asyncio.get_running_loop()
        self._ended[broadcast.session] = loop.call_later(self._config.keep_s, self._forget, broadcast.session)
        if len(self._ended) > self._config.max_ended:
            self._forget(next(iter(self._ended)))

    def refusal(self, broadcast: Broadcast) -> str | None:
        """Return why one more viewer is not let in, or None."""
        if len(self._viewers) >= self._config.max_viewers:
            return f"all {self._config.max_viewers} places for viewers are taken; try later"
        if broadcast.viewers >= self._config.max_session_viewers:
            return f"all {self._config.max_session_viewers} places of this session are taken; try later"
        return None

    @contextmanager
    def seated(self, broadcast: Broadcast, abort: Callable[[], None]) -> Generator[Viewer]:
        """Let somebody watch; `abort` drops their connection at once."""
        viewer = Viewer(broadcast)
        self._viewers[viewer] = abort
        self._metrics.viewers.inc()
        try:
            yield viewer
        finally:
            viewer.leave()
            del self._viewers[viewer]
            self._metrics.viewers.dec()
            self._metrics.partials_skipped.inc(viewer.skipped)
            if not self._viewers:
                self._empty.set()

    async def drain(self) -> None:
        """Let everybody take the last words of sessions that have all ended, and cut off who does not."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._until_empty()
        except TimeoutError:
            logger.warning("%d viewers are cut off: they did not take the end in time", len(self._viewers))
            for abort in list(self._viewers.values()):
                abort()

    async def _until_empty(self) -> None:
        while self._viewers:
            self._empty.clear()
            await self._empty.wait()

    def _forget(self, session: str) -> None:
        timer = self._ended.pop(session, None)
        if timer is not None:
            timer.cancel()
            self._broadcasts.pop(session, None)


def now() -> str:
    """Return the time of the clock on the wall."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
