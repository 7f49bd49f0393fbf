"""The recording that the clients are fed, and how."""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

PIECE_S = 0.02
PATIENCE_S = 4.0
"""Without news: all is transcribed."""
SILENCE_S = 2.0
"""After the recording: clients that wait for the server's turns need it to end the last one."""


def arguments() -> tuple[int, str]:
    """Return the daemon's port and the path of a 16-bit recording."""
    return int(sys.argv[1]), sys.argv[2]


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
    """Wait until there has been no news for long enough."""
    try:
        while True:
            await asyncio.wait_for(news.wait(), PATIENCE_S)
            news.clear()
    except TimeoutError:
        return
