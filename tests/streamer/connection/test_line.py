"""Who takes whose place on a session's wire."""

from __future__ import annotations

import asyncio

import pytest

from streamer.connection.line import Line
from streamer.connection.wire import BROKEN, Disconnected, Wire
from streamer.core.commands import Claim, Message
from tests.virtual_time import run

CLAIM = Claim("s", "t", "e", 0, 0, 0)


class Stuck(Wire):
    """A client that takes nothing."""

    def __init__(self) -> None:
        self.gone = False
        self._dropped = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Wait until it is dropped."""
        await self._dropped.wait()
        raise Disconnected(BROKEN)

    async def receive(self) -> Message:
        """Be gone."""
        raise Disconnected(BROKEN)

    async def close(self, code: int, reason: str = "") -> None:
        """Hear nothing."""

    def abort(self) -> None:
        """Drop it."""
        self.gone = True
        self._dropped.set()


async def test_a_client_takes_the_place_of_the_last_one_that_came_and_waits_for_none_that_takes_nothing() -> None:
    first, second, third = Stuck(), Stuck(), Stuck()
    line = Line(first, None, 120.0)
    line.answer()
    line.open()
    sending = asyncio.ensure_future(line.send("a word"))
    await asyncio.sleep(0)
    attached, replaced = line.attach(second, CLAIM, ())
    assert replaced is not None
    assert replaced.wire is first
    newest, replaced = line.attach(third, CLAIM, ())
    assert replaced is attached
    assert attached.answered, "it is told who has come, and nothing else"
    await asyncio.wait([sending], timeout=1.0)

    assert sending.done()
    assert [wire.gone for wire in (first, second, third)] == [True, False, False], "whoever listens can be told"
    assert line.answer() is newest


def test_a_client_that_comes_as_its_session_is_given_up_has_all_its_time_when_it_is_lost_again() -> None:
    async def scenario() -> float:
        line = Line(Stuck(), None, 120.0)
        line.answer()
        waiting = asyncio.ensure_future(line.await_client())
        await asyncio.sleep(0)
        line.give_up()
        line.attach(Stuck(), CLAIM, ())
        await waiting
        line.answer()
        with pytest.raises(Disconnected):
            await line.await_client()
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 120.0
