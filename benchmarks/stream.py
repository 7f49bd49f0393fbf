"""Push speech into a daemon on a wall-clock schedule and note when each message comes back.

The schedule does not wait for the daemon (an open loop): a delay counts from the moment the sound was made, however
late it could be sent.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.speech import Speech
from model.types import SAMPLE_RATE

CHUNK = SAMPLE_RATE // 50
"""Samples of a message: 20 ms, as a microphone gives them."""


class RefusedError(RuntimeError):
    """The daemon did not take the stream."""

    def __init__(self, code: str, close: int, waited: float = 0.0) -> None:
        """`code` of its error message, `close` of the connection, `waited` seconds from connecting to the message."""
        super().__init__(f"refused: {code}, closed with {close}")
        self.code = code
        self.close = close
        self.waited = waited


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message and when it came."""

    at: float
    """Seconds since the first sample was made, on the stream's own time line (wall time times speed)."""
    message: dict[str, Any]


@dataclass(slots=True)
class Recording:
    """Everything a stream said, with times."""

    speech: Speech
    arrivals: list[Arrival] = field(default_factory=list)
    latest_send: float = 0.0
    """How late the worst chunk was sent, in seconds: the measuring side's own delay, or the daemon's back pressure."""

    def of(self, kind: str) -> list[Arrival]:
        """Arrivals of one message type, in order."""
        return [arrival for arrival in self.arrivals if arrival.message["type"] == kind]

    def lags(self) -> list[float]:
        """Seconds received and not yet decoded, as the daemon itself says with each message."""
        return [arrival.message["lag"] for arrival in self.arrivals if arrival.message.get("lag") is not None]


async def push(address: str, speech: Speech, speed: float = 1.0, delay_s: float = 0.0) -> Recording:
    """Stream the speech and return what came back.

    Raises RefusedError if the stream is not taken, RuntimeError if the daemon reports an error or a gap later on.
    """
    recording = Recording(speech)
    await asyncio.sleep(delay_s)
    came = time.monotonic()
    # A pong waits behind the audio that is on its way, which is much when the daemon is behind: no ping timeout.
    connecting = connect(address, compression=None, max_size=None, ping_timeout=None)
    async with connecting as socket, asyncio.TaskGroup() as tasks:
        with suppress(ConnectionClosed):  # one that refuses says why in what is read next
            await socket.send(json.dumps({"type": "start", "sample_rate": SAMPLE_RATE, "encoding": "pcm_s16le"}))
        ready = json.loads(await socket.recv())
        if ready["type"] == "error":
            waited = time.monotonic() - came
            await socket.wait_closed()
            raise RefusedError(ready["code"], socket.close_code or 1006, waited)
        if ready["type"] != "ready":
            raise RuntimeError(f"expected ready, got {ready}")
        began = time.monotonic()
        tasks.create_task(_receive(socket, recording, began, speed))
        await _send(socket, recording, began, speed)
    return recording


async def _send(socket: ClientConnection, recording: Recording, began: float, speed: float) -> None:
    pcm = (np.clip(recording.speech.samples, -1, 1) * 32767).astype("<i2")
    for start in range(0, len(pcm), CHUNK):
        chunk = pcm[start : start + CHUNK]
        due = began + (start + len(chunk)) / SAMPLE_RATE / speed
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await socket.send(chunk.tobytes())
        recording.latest_send = max(recording.latest_send, time.monotonic() - due)
    await socket.send(json.dumps({"type": "stop"}))


async def _receive(socket: ClientConnection, recording: Recording, began: float, speed: float) -> None:
    async for text in socket:
        message = json.loads(text)
        if message["type"] in {"error", "gap"}:
            raise RuntimeError(f"the daemon said {message}")
        recording.arrivals.append(Arrival((time.monotonic() - began) * speed, message))
        if message["type"] == "done":
            return
    raise RuntimeError("the connection closed before done")
