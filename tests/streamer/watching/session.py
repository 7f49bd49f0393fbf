"""Sessions on a real server, and those who look on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from streamer.server import Server
from tests.streamer.harness import Heard, connected, listen, s16, sentence

TOKEN = "a-token-that-nobody-guesses"
PHRASES = [sentence(1, 2, 3), sentence(4, 5), sentence(6, 7, 8, 9)]
SAID = ["w1 w2 w3", "w4 w5", "w6 w7 w8 w9"]


@asynccontextmanager
async def watching(server: Server, session: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """Open a viewer's WebSocket."""
    options = {"proxy": None, "compression": None, **options}
    async with connect(f"ws://127.0.0.1:{server.port}/v1/watch/{session}", **options) as socket:
        yield socket


@asynccontextmanager
async def speaking(server: Server, **options: Any) -> AsyncIterator[tuple[ClientConnection, str]]:
    """Begin a session and return its socket and name."""
    async with connected(server, **options) as socket:
        await socket.send(json.dumps({"type": "start", "language": "en"}))
        yield socket, json.loads(await socket.recv())["session"]


async def say(socket: ClientConnection, phrase: np.ndarray) -> list[dict[str, Any]]:
    """Speak a phrase and return what is said of it up to its final."""
    await socket.send(s16(phrase))
    heard = []
    while not heard or heard[-1]["type"] != "final":
        heard.append(json.loads(await socket.recv()))
    return heard


async def stop(socket: ClientConnection) -> Heard:
    """End a session."""
    await socket.send('{"type":"stop"}')
    return await listen(socket)


async def fetch(server: Server, path: str, **options: Any) -> httpx.Response:
    """GET a path."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await client.get(f"http://127.0.0.1:{server.port}{path}", **options)


async def next_of(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    """Take messages up to the first of one of these types."""
    while True:
        message = json.loads(await socket.recv())
        if message["type"] in kinds:
            return message


def texts(messages: list[dict[str, Any]]) -> str:
    return "".join(message["text"] for message in messages if message["type"] == "commit")
