"""The real daemon, in this process, for tests of clients in others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from model.types import Recognizer
from streamer.config import Config, ServerConfig, WyomingConfig
from streamer.daemon import serve
from streamer.network import ports
from streamer.protocols.handshake import House


class Ports(NamedTuple):
    """Where a daemon listens."""

    http: int
    wyoming: int


@asynccontextmanager
async def daemon(recognizer: Recognizer, **settings: Any) -> AsyncIterator[Ports]:
    """Run a daemon with these settings of the server."""
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = ServerConfig(port=0, drain_timeout_s=0, **settings)
    config = Config(server=server, wyoming=WyomingConfig(enabled=True, port=0))
    beside = ports.Ports(config, House("demo", ("en",)))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(beside.run()),
            group.create_task(serve(config, recognizer, on_ready=bound.set_result, ports=beside)),
        ]
        try:
            yield Ports(await bound, beside.wyoming)
        finally:
            for task in tasks:
                task.cancel()
