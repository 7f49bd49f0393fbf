"""Audio one way, messages the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from clients.captions import PlainCaptions
from model.types import Samples
from streamer.commands.transfer import transfer
from streamer.protocols.messages import Done
from tests.fakes import silence
from tests.virtual_time import run as run_in_virtual_time


class FinishedStream:
    """A stream whose other end is done at once."""

    async def send_audio(self, audio: Samples) -> None:
        """Take it."""

    async def flush(self, marker: str = "") -> None:
        """Ignore it."""

    async def stop(self) -> None:
        """Ignore it."""

    async def __aiter__(self) -> AsyncGenerator[Done, None]:
        """Say done."""
        yield Done(0.0, 0)


async def test_a_stream_that_is_done_ends_though_its_source_says_nothing_any_more():
    async def silent() -> AsyncGenerator[Samples, None]:
        await asyncio.Event().wait()
        yield silence(0)

    async with asyncio.timeout(5):
        await transfer(FinishedStream(), silent(), PlainCaptions())


def test_a_source_that_is_silent_for_long_keeps_its_stream_open():
    class Quiet(FinishedStream):
        async def send_audio(self, audio: Samples) -> None:
            sent.append((asyncio.get_running_loop().time(), len(audio)))

        async def __aiter__(self) -> AsyncGenerator[Done, None]:
            await asyncio.sleep(100)
            yield Done(0.0, 0)

    async def silent() -> AsyncGenerator[Samples, None]:
        await asyncio.Event().wait()
        yield silence(0)

    sent: list[tuple[float, int]] = []
    run_in_virtual_time(transfer(Quiet(), silent(), PlainCaptions()))

    assert sent == [(30.0, 0), (60.0, 0), (90.0, 0)]
