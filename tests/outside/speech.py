"""The recording that the clients are fed, and how."""

from __future__ import annotations

import asyncio
import re
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
PIECE_S = 0.02
PATIENCE_S = 20.0
"""Without news: all is transcribed, and whoever started this program has missed something."""
SILENCE_S = 2.0
"""After the recording: clients that wait for the server's turns need it to end the last one."""


def arguments() -> tuple[int, str]:
    """Return the daemon's port and the path of a 16-bit recording."""
    return int(sys.argv[1]), sys.argv[2]


def snippet(name: str, port: int) -> dict[str, Any]:
    """Run a named snippet of docs/clients.md with the daemon's port; return what it defines."""
    (code,) = re.findall(rf"^```python {name}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    defined: dict[str, Any] = {}
    exec(code.replace("127.0.0.1:8765", f"127.0.0.1:{port}"), defined)
    return defined


def read(path: str, rate: int) -> NDArray[np.int16]:
    """Return the recording at a rate, by linear interpolation, with silence after it."""
    with wave.open(path) as file:
        given, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    places = np.arange(int(len(samples) * rate / given)) * (given / rate)
    resampled = np.interp(places, np.arange(len(samples)), samples).astype(np.int16)
    return np.concatenate([resampled, np.zeros(int(rate * SILENCE_S), np.int16)])


async def pieces(samples: NDArray[np.int16], rate: int) -> AsyncIterator[NDArray[np.int16]]:
    """Yield pieces of 20 ms, ten times as fast as they were spoken."""
    size = int(rate * PIECE_S)
    for at in range(0, len(samples) - size + 1, size):
        yield samples[at : at + size]
        await asyncio.sleep(PIECE_S / 10)


async def quiet(news: asyncio.Event) -> None:
    """Wait until there has been no news for long enough, or whoever started this program has heard enough."""
    enough = asyncio.create_task(told_enough())
    try:
        while not enough.done():
            heard = asyncio.create_task(news.wait())
            done, _ = await asyncio.wait([heard, enough], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
            news.clear()
            if not done:
                return
    finally:
        enough.cancel()


async def told_enough() -> None:
    """Wait for the end of standard input."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        sys.stdin.read()
        with suppress(RuntimeError):  # the program has ended of itself
            loop.call_soon_threadsafe(closed.set)

    Thread(target=read, daemon=True).start()
    await closed.wait()
