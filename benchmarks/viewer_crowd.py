"""Many who watch one session, some of whom stop reading: in a process of their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
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


def run_crowd(port: int, crowd: Crowd) -> list[Seen]:
    """Watch the session that begins next, to its end."""
    return asyncio.run(watch(port, crowd))


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
    """Watch to the end."""
    commits: list[int] = []
    partials, last = 0, ""
    async with connect(address, compression=None, proxy=None) as socket:
        try:
            while True:
                message = json.loads(await socket.recv())
                last = message["type"]
                if last == "watching":
                    commits += [commit["id"] for commit in message["commits"]]
                elif last == "commit":
                    commits.append(message["id"])
                partials += last == "partial"
        except ConnectionClosed:
            return Seen(tuple(commits), partials, last, socket.close_code)
