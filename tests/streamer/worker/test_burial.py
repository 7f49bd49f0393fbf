"""Who waits for a process's end can be cancelled, also in the moment in which it ends."""

from __future__ import annotations

import asyncio

import pytest

from streamer.processes.burial import bury


class Dying:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.kills = 0

    async def wait(self) -> int:
        return await asyncio.shield(self.status)

    def kill(self) -> None:
        self.kills += 1


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_in_the_moment_of_the_end_is_not_lost(turns: int) -> None:
    process = Dying()
    waiting = asyncio.create_task(bury(process, 60))  # type: ignore[arg-type]  # as much of a process as is asked for
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    process.status.set_result(0)
    for _ in range(turns):
        await asyncio.sleep(0)

    if waiting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert waiting.result() == 0


async def test_a_process_that_does_not_end_is_killed_and_left_to_the_kernel() -> None:
    process = Dying()

    assert await bury(process, 0) is None  # type: ignore[arg-type]
    assert process.kills == 2
