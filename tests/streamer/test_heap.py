"""Memory that is free goes back to the system, from the middle of the heap too."""

import asyncio
import ctypes

import psutil
import pytest

from streamer.heap import keep_small

MIB = 2**20


def resident() -> float:
    return psutil.Process().memory_info().rss / MIB


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
async def test_what_lies_between_things_that_stay_goes_back():
    blocks = [bytes(1000) for _ in range(100_000)]  # beyond 512 bytes they are the C library's
    stay = blocks[::50]
    before = resident()
    del blocks
    held = resident()
    task = asyncio.create_task(keep_small(pause_s=0))
    await asyncio.sleep(0)  # to its pause
    await asyncio.sleep(0)  # to its trim
    await asyncio.sleep(0)
    task.cancel()

    assert held > before - 50, "the blocks that stay hold the others"
    assert len(stay) == 2_000
    assert resident() <= before - 50


async def test_where_the_c_library_cannot_nothing_is_done(monkeypatch):
    monkeypatch.setattr("streamer.heap.ctypes.CDLL", lambda _: object())

    async with asyncio.timeout(1):
        await keep_small()
