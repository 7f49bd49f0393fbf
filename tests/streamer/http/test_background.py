"""Recordings give way to live streams, and are never starved by them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest

from model.types import DecodeRequest
from streamer.recognition.engine import Engine
from streamer.recognition.lanes import MOST_PASSED, Lane, Lanes, Ticket
from tests.fakes import LevelRecognizer, silence


class Source:
    """Asks for a little silence, under a name."""

    wants_final = False

    def __init__(self, name: str, deadline: float = 0.0) -> None:
        self.name = name
        self.deadline = deadline

    def next_request(self) -> DecodeRequest:
        return DecodeRequest(self.name, 0, silence(1600))


def ticket(name: str, *, background: bool = False) -> Ticket:
    return Ticket(Source(name), asyncio.get_running_loop().create_future(), 0.0, background)


def turns(lanes: Lanes) -> Iterable[Lane]:
    """Serve one ticket at a time, which comes again at once."""
    while (lane := lanes.next_lane()) is not None:
        yield lane
        served = next(lanes.take(lane))
        lanes.join(served)


async def test_a_recording_goes_first_only_if_nobody_else_waits() -> None:
    lanes = Lanes()
    lanes.join(ticket("file", background=True))
    assert lanes.next_lane() is Lane.BACKGROUND

    lanes.join(ticket("live"))
    assert lanes.next_lane() is Lane.FAST


async def test_a_recording_gets_one_turn_in_many_from_streams_that_never_rest() -> None:
    lanes = Lanes()
    lanes.join(ticket("file", background=True))
    lanes.join(ticket("live"))
    order = list(islice(turns(lanes), 3 * (MOST_PASSED + 1)))

    assert [at for at, lane in enumerate(order) if lane is Lane.BACKGROUND] == [16, 33, 50]


async def test_turns_of_recordings_do_not_disturb_those_of_the_other_lanes() -> None:
    lanes, retried = Lanes(), ticket("again")
    retried.tried.append(LevelRecognizer().answer(Source("a").next_request()))
    for one in (ticket("live"), retried, ticket("file", background=True)):
        lanes.join(one)
    order = list(islice(turns(lanes), 40))
    live = [lane for lane in order if lane is not Lane.BACKGROUND]

    assert live == [Lane.FAST, Lane.SLOW] * (len(live) // 2)
    assert order.count(Lane.BACKGROUND) == 2


async def test_further_attempts_at_a_recording_stay_in_the_background() -> None:
    lanes, again = Lanes(), ticket("file", background=True)
    again.tried.append(LevelRecognizer().answer(Source("a").next_request()))
    lanes.join(again)

    assert lanes.depth(Lane.BACKGROUND) == 1


async def test_recordings_take_turns_among_each_other() -> None:
    lanes = Lanes()
    for name in ("a", "b", "c"):
        lanes.join(ticket(name, background=True))
    names = []
    for _ in range(6):
        lane = lanes.next_lane()
        assert lane is Lane.BACKGROUND
        served = next(lanes.take(lane))
        names.append(served.source.name)  # type: ignore[attr-defined]
        lanes.join(served)

    assert names == ["a", "b", "c"] * 2


async def test_live_streams_and_recordings_do_not_share_a_batch() -> None:
    recognizer = LevelRecognizer()
    engine = Engine(recognizer, max_batch=8)
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(engine.transcribe(Source(f"{kind}{n}"), background=kind == "file"))
            for n in range(2)
            for kind in ("file", "live")
        ]
        await asyncio.sleep(0)
        running = group.create_task(engine.run())
        await asyncio.wait(waiting)
        running.cancel()

    assert [request.stream for request in recognizer.requests] == ["live0", "live1", "file0", "file1"]
    assert recognizer.batches == [2, 2]


@pytest.mark.parametrize("background", [True, False])
async def test_whoever_has_gone_is_forgotten_in_every_lane(background: bool) -> None:
    lanes, gone = Lanes(), ticket("gone", background=background)
    lanes.join(gone)
    gone.answer.cancel()

    assert lanes.next_lane() is None
    assert np.sum([lanes.depth(lane) for lane in Lane]) == 0
