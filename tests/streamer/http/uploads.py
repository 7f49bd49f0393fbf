"""Recordings as files, forms as bytes, and requests that hide nothing."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import soundfile

from model.types import SAMPLE_RATE, Samples
from streamer.server import Server
from tests.streamer.harness import sentence

SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])
SAID = "w1 w2 w3 w4 w5"
PATH = "/v1/audio/transcriptions"
BOUNDARY = b"----a-boundary"


def sound_file(audio: Samples = SPEECH, form: str = "WAV", subtype: str | None = "FLOAT") -> bytes:
    """Return audio as a file; WAV holds it exactly."""
    data = io.BytesIO()
    soundfile.write(data, audio, SAMPLE_RATE, format=form, subtype=subtype)
    return data.getvalue()


def form(*parts: tuple[str, str | bytes], end: bytes = b"--\r\n") -> bytes:
    """Return multipart/form-data; a part of bytes is a file."""
    written = b""
    for name, value in parts:
        filename = '; filename="a.wav"' if isinstance(value, bytes) else ""
        kind = "\r\nContent-Type: application/octet-stream" if isinstance(value, bytes) else ""
        head = f'Content-Disposition: form-data; name="{name}"{filename}{kind}\r\n\r\n'
        written += b"--" + BOUNDARY + b"\r\n" + head.encode()
        written += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return written + b"--" + BOUNDARY + end


def head(*headers: str, path: str = PATH, method: str = "POST") -> bytes:
    """Return the head of a request with a form."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(body: bytes, size: int) -> bytes:
    """Return a body in HTTP's chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


@asynccontextmanager
async def browsing(server: Server, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of one server."""
    base = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60, verify=False, **options) as client:
        yield client


async def upload(server: Server, file: bytes | None = None, path: str = PATH, **fields: Any) -> httpx.Response:
    """Send a recording and return the answer."""
    data = sound_file() if file is None else file
    async with browsing(server) as client:
        return await client.post(path, files={"file": ("a.wav", data)}, data=fields)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return the error object, which has all its fields."""
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def events_of(body: str) -> list[dict[str, Any]]:
    """Return the events of a stream."""
    assert body.endswith("\n\n")
    lines = body.removesuffix("\n\n").split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def answered(server: Server, pieces: Sequence[bytes] | Iterable[bytes]) -> tuple[int, dict[str, str], bytes]:
    """Send a request over plain TCP; return status, headers and body of the answer that is not provisional."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer with a length."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split()[1]), headers, body
