"""The recordings that are on their way in or being transcribed: how many there may be, and how they are ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto

from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import Receive

from streamer.connection.patience import Patience
from streamer.http.errors import ApiError, Kind, unavailable

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a file."""

    DONE = auto()
    INVALID = auto()
    """The client's fault."""
    FAILED = auto()
    """Ours."""
    CUT = auto()
    """The server ended."""
    GONE = auto()
    """The client did not wait for it."""


class GoneError(Exception):
    """The client is not there any more."""

    def __init__(self, *, slow: bool = False) -> None:
        """`slow` if it was cut off because it took nothing."""
        super().__init__()
        self.slow = slow


class Job:
    """One file, from its first byte to the last of its transcript."""

    def __init__(self) -> None:
        self._patience = Patience()
        self._gone = False
        self._cut = False

    def cut(self) -> None:
        """End it now, unfinished."""
        self._cut = True
        self._patience.shorten(0)

    @asynccontextmanager
    async def lasting(self) -> AsyncGenerator[None]:
        """Bound what is inside by whoever ends it: raises ApiError if the server does, GoneError if the client does."""
        try:
            async with self._patience.limited(0 if self._cut else None):
                yield
        except TimeoutError:
            if self._gone:
                raise GoneError from None
            raise unavailable("shutting_down", "the server is going away; try again") from None

    @asynccontextmanager
    async def watched(self, receive: Receive) -> AsyncGenerator[None]:
        """End what is inside when the client goes; its request has been read."""
        watcher = asyncio.create_task(self._watch(receive))
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._patience.shorten(0)


class Files:
    """All files of one server."""

    def __init__(self, max_files: int, registry: CollectorRegistry) -> None:
        """`registry` takes what is counted."""
        self._max_files = max_files
        self._jobs: set[Job] = set()
        self._empty = asyncio.Event()
        opened = Gauge("streamer_files", "Recordings coming in or being transcribed now", registry=registry)
        opened.set_function(lambda: float(len(self._jobs)))
        self._outcomes = Counter("streamer_files_ended", "Recordings by outcome", ["outcome"], registry=registry)
        self.audio = Counter("streamer_files_audio_seconds", "Audio of recordings transcribed", registry=registry)

    @property
    def closed(self) -> ApiError | None:
        """Why no file is ever taken, or None."""
        if self._max_files:
            return None
        return ApiError(403, "uploads_disabled", "this server takes no recordings: its http.max_files is 0")

    def refusal(self) -> ApiError | None:
        """Return why one more file is not taken, or None."""
        if len(self._jobs) < self._max_files:
            return None
        complaint = f"{self._max_files} recordings are being transcribed, which is as many as may be at once; try later"
        return ApiError(429, "rate_limit_exceeded", complaint, kind=Kind.LIMIT)

    @contextmanager
    def admitted(self) -> Generator[Job]:
        """Count a file among those that are open while it is."""
        job = Job()
        self._jobs.add(job)
        try:
            yield job
        finally:
            self._jobs.remove(job)
            if not self._jobs:
                self._empty.set()

    def ended(self, outcome: Outcome) -> None:
        """Count what became of a file."""
        self._outcomes.labels(outcome.name.lower()).inc()

    async def drain(self, timeout_s: float) -> None:
        """Let the files that are open finish, and end what is left after `timeout_s`; nobody may add to them now."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_empty()
        except TimeoutError:
            logger.warning("drain timeout: %d recordings are cut off", len(self._jobs))
            self.cut()
            await self._until_empty()

    def cut(self) -> None:
        """End all files now."""
        for job in self._jobs:
            job.cut()

    async def _until_empty(self) -> None:
        while self._jobs:
            self._empty.clear()
            await self._empty.wait()
