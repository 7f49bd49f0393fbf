"""When a stream that lost its server tries again, and when it gives up, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import accumulate

import pytest

from clients.backoff import STEPS_S, Backoff
from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.patience import Patience
from clients.prospects import MOST_FAULTS
from clients.receipts import Receipts
from clients.return_path import ENDING_S, ReturnPath
from streamer.core.commands import Close
from streamer.protocols import messages
from tests.virtual_time import run

CUT = ConnectionLost("cut")


class Way:
    """The way back of a stream whose sessions can be resumed."""

    def __init__(self, give_up_s: float | None = None) -> None:
        self.receipts, self.notices = Receipts(16_000), list[str]()
        self.path = ReturnPath(self.receipts, self.notices.append, give_up_s)
        self.path.resumable = True

    def decide(self, frame: int) -> None:
        self.receipts.take(messages.Ack(frame, frame))

    async def lose(self, seconds: float, failure: Exception = CUT, *, leaving: bool = False) -> None:
        """Be without a server for so long, and then connected for longer than anybody waits for one."""
        async with self.path.taken(failure):
            for _ in range(2):
                if leaving:
                    self.path.hurry()
                await asyncio.sleep(seconds / 2)
            self.path.arrive()
            self.path.hurry()
            await asyncio.sleep(10 * ENDING_S)


def test_who_leaves_waits_for_a_server_for_a_while_in_all_and_anew_once_something_is_decided():
    async def leave() -> None:
        way = Way()
        await way.lose(100 * ENDING_S)
        await way.lose(0.6 * ENDING_S, leaving=True)
        way.decide(1)
        await way.lose(0.6 * ENDING_S, leaving=True)
        await way.lose(0.3 * ENDING_S, leaving=True)
        assert len(way.notices) == 8
        with pytest.raises(ConnectionLost, match="last words may be missing: cut"):
            await way.lose(0.2 * ENDING_S, leaving=True)

    run(leave())


def test_each_attempt_has_its_wait():
    async def attempt() -> list[float]:
        way, times = Way(), []
        way.path._patience = Patience(None, Backoff(lambda: 1.0))
        async with way.path.taken(CUT):
            for _ in range(7):
                await way.path.wait()
                way.path.fail(Unreachable("refused"))
                times.append(asyncio.get_running_loop().time())
        return times

    assert run(attempt()) == pytest.approx(list(accumulate([*STEPS_S, STEPS_S[-1], STEPS_S[-1]])))


def test_an_attempt_that_shows_that_no_other_goes_better_is_the_last():
    async def attempt(failure: Exception, give_up_s: float | None = None) -> None:
        way = Way(give_up_s)
        async with way.path.taken(CUT):
            await asyncio.sleep(60)
            way.path.fail(failure)

    for passing in (Unreachable("no route"), Unreachable("a proxy's", 502), StreamError("busy", "full"), CUT):
        run(attempt(passing))
    refused = [Unreachable("what is this", status) for status in (400, 401, 403, 404)]
    for lasting in (*refused, StreamError("bad_message", "what is this")):
        with pytest.raises(type(lasting), match="what is this"):
            run(attempt(lasting))
    run(attempt(CUT, give_up_s=61))
    with pytest.raises(ConnectionLost, match="gave up after 59 s"):
        run(attempt(CUT, give_up_s=59))


def test_a_stream_is_taken_over_by_itself_as_often_as_an_attempt_was_given_up_unanswered():
    async def come_back() -> None:
        way, elsewhere = Way(), StreamError("taken_over", "elsewhere")
        async with way.path.taken(CUT):
            way.path.fail(ConnectionLost("no answer"))
            way.path.fail(ConnectionLost("no answer"))
            way.path.fail(Unreachable("refused"))
        await way.lose(1.0, elsewhere)
        await way.lose(1.0, elsewhere)
        with pytest.raises(StreamError, match="elsewhere"):
            await way.lose(1.0, elsewhere)

    run(come_back())


def test_a_server_over_whose_connections_nothing_is_decided_is_given_up_like_one_that_is_away():
    async def come_back() -> None:
        way = Way(give_up_s=20)
        while True:
            async with way.path.taken(CUT):
                await asyncio.sleep(3)
                way.path.arrive()
                await asyncio.sleep(4)

    async def give_up() -> float:
        with pytest.raises(ConnectionLost, match="gave up after 20 s"):
            await come_back()
        return asyncio.get_running_loop().time()

    assert run(give_up()) == 21


@pytest.mark.parametrize("fault", [StreamError("internal", "a fault"), ConnectionLost("a fault", Close.UNREADABLE)])
def test_faults_are_come_back_from_while_something_is_decided_between_them_and_then_a_few_times(fault: Exception):
    async def come_back() -> None:
        way = Way()
        for frame in range(3 * MOST_FAULTS):
            way.decide(frame)
            await way.lose(1.0, fault)
        for _ in range(MOST_FAULTS - 2):
            await way.lose(1.0, fault)
        with pytest.raises(type(fault), match="a fault"):
            await way.lose(1.0, fault)

    run(come_back())


def test_there_is_no_way_back_to_a_session_that_cannot_be_resumed():
    way = Way()
    way.path.resumable = False
    with pytest.raises(ConnectionLost, match="cut"):
        run(way.lose(1.0))
    assert way.notices == []
