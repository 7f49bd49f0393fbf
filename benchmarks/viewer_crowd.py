"""Many who watch one session, some of whom stop reading: in a process of their own."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LOOK_S = 0.05
"""Between two looks for a session."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many watch."""

    viewers: int
    stalled: int
    """Of them; they read nothing after they are let in."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one viewer who reads has seen."""

    commits: tuple[int, ...]
    """Ids in the order they came."""
    partials: int
    last: str
    """Type of the last message."""
    close: int | None


def run_crowd(port: int, crowd: Crowd) -> tuple[list[Seen], float]:
    """Watch the session that begins next, to its end; return what was seen and the CPU seconds it took to see it."""
    before = time.process_time()
    seen = asyncio.run(watch(port, crowd))
    return seen, time.process_time() - before


async def watch(port: int, crowd: Crowd, session: str | None = None) -> list[Seen]:
    """Return what those who read have seen; without a session's name, of the one that begins next."""
    session = session or await look(port)
    address = f"ws://127.0.0.1:{port}/v1/watch/{session}"
    deaf: list[ClientConnection] = []
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(read(address)) for _ in range(crowd.viewers - crowd.stalled)]
        for _ in range(crowd.stalled):
            deaf.append(await connect(address, compression=None, proxy=None, ping_interval=None, close_timeout=0))
            deaf[-1].transport.pause_reading()
    for socket in deaf:
        socket.transport.abort()
    return [task.result() for task in reading]


async def look(port: int) -> str:
    """Return the name of the session that begins next."""
    while not (found := await asyncio.to_thread(find, port)):  # noqa: ASYNC110  # it is another process that knows
        await asyncio.sleep(LOOK_S)
    return found


def find(port: int) -> str | None:
    """Return the name of a session that lives, if there is one."""
    with urlopen(f"http://127.0.0.1:{port}/v1/sessions", timeout=10) as reply:
        sessions = json.load(reply)["sessions"]
    return str(sessions[0]["id"]) if sessions else None


async def read(address: str) -> Seen:
    """Watch to the end; what came is looked at only then."""
    texts: list[str | bytes] = []
    async with connect(address, compression=None, proxy=None, ping_interval=None) as socket:
        with suppress(ConnectionClosed):
            while True:
                texts.append(await socket.recv())
    return sum_up([json.loads(text) for text in texts], socket.close_code)


def sum_up(messages: list[dict[str, Any]], close: int | None) -> Seen:
    """Return what a viewer's messages amount to."""
    commits: list[int] = []
    for message in messages:
        if message["type"] == "watching":
            commits += [commit["id"] for commit in message["commits"]]
        elif message["type"] == "commit":
            commits.append(message["id"])
    kinds = [message["type"] for message in messages]
    return Seen(tuple(commits), kinds.count("partial"), kinds[-1] if kinds else "", close)
