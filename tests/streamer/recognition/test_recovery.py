"""What is done when recognition fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from model.types import DecodeRequest, Hypothesis, ModelCard
from streamer.recognition import recovery
from streamer.recognition.device import DeviceLost, RemoteDevice
from streamer.recognition.engine import Engine
from streamer.recognition.health import TRIAL
from streamer.recognition.recovery import Recovery
from streamer.recognition.runner import EngineError
from streamer.recognition.suspects import MOST_CONVICTIONS, MOST_LOST
from streamer.recognition.trial import SILENCE, warm_up
from streamer.worker.causes import Cause, Loss
from streamer.worker.supervisor import Supervisor
from tests.fakes import LevelRecognizer
from tests.virtual_time import run


class Child:
    """Stands for a supervisor and its child; `away` loses every batch, `failing` raises for streams."""

    serving = True
    on_loss: Callable[[Loss], None] | None = None

    def __init__(self) -> None:
        self.away = False
        self.failing: set[str] = set()
        self.renewed = 0
        self.asked: list[str] = []

    @property
    def card(self) -> ModelCard:
        return LevelRecognizer().card

    async def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.asked += [request.stream for request in batch]
        if self.away:
            raise DeviceLost("out of memory")
        if self.failing.intersection(request.stream for request in batch):
            raise ValueError("a bug")
        return [Hypothesis(request.start, request.end, (), "en", final=request.final) for request in batch]

    async def forget(self, stream: str) -> None:
        pass

    def renew(self, reason: str) -> None:
        del reason
        self.renewed += 1


class Source:
    """Asks once."""

    wants_final = False
    deadline = 0.0

    def __init__(self, stream: str) -> None:
        self.stream = stream

    def next_request(self) -> DecodeRequest:
        return DecodeRequest(self.stream, 0, SILENCE)


@asynccontextmanager
async def recovering(child: Child, *, own_process: bool = False) -> AsyncIterator[Engine]:
    """Run an engine that is warm, and its recovery; with `own_process` nobody can replace the recognizer."""
    engine = Engine(child, 8, make_device=lambda _: RemoteDevice())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(engine.run())]
        await warm_up(engine)
        supervisor = None if own_process else cast("Supervisor", child)
        tasks.append(group.create_task(Recovery(engine, supervisor).run()))
        yield engine
        for task in tasks:
            task.cancel()


async def ask(engine: Engine, stream: str) -> Any:
    try:
        return await engine.transcribe(Source(stream))
    except EngineError as error:
        return error


def test_a_device_that_was_away_for_minutes_is_found_again_when_it_is_back():
    async def play() -> None:
        child = Child()
        async with recovering(child) as engine:
            child.away = True
            for number in range(3):
                await ask(engine, f"talker {number}")
            await asyncio.sleep(recovery.RETRY_S)
            assert not engine.ready
            await asyncio.sleep(2 * MOST_CONVICTIONS * MOST_LOST * recovery.RETRY_S)
            child.away = False
            await asyncio.sleep(2 * recovery.RETRY_S)

            assert engine.ready
            assert not child.renewed, "who was lost was replaced, and the next one is well"

    run(play())


def test_who_spoke_while_the_device_was_away_is_not_blamed_for_it():
    async def play() -> None:
        child = Child()
        async with recovering(child) as engine:
            child.away = True
            for _ in range(MOST_CONVICTIONS):
                await ask(engine, "talker")
            await asyncio.sleep(2 * recovery.RETRY_S)
            child.away = False

            assert isinstance(await ask(engine, "talker"), Hypothesis)

    run(play())


def test_a_stream_all_of_whose_requests_fail_closes_the_door_to_nobody_and_costs_no_process():
    async def play() -> None:
        child = Child()
        child.failing = {"poison"}
        ready = []
        async with recovering(child) as engine:
            for _ in range(200):
                await ask(engine, "poison")
                await ask(engine, "poison")
                ready.append(engine.ready)
                await asyncio.sleep(0.4)

        assert all(ready)
        assert not child.renewed
        trials = 200 * 0.4 / recovery.RETRY_S + 1
        assert child.asked.count(TRIAL) <= 2 + 2 * trials, (
            "nor much of the device's time: each trial, and once more alone"
        )

    run(play())


def test_where_everything_fails_a_lone_streams_failures_are_enough_to_find_out_at_once():
    async def play() -> None:
        child = Child()
        async with recovering(child) as engine:
            child.failing = {"talker", TRIAL}
            began = asyncio.get_running_loop().time()
            while engine.ready:
                await ask(engine, "talker")
                await asyncio.sleep(0.2)

            assert asyncio.get_running_loop().time() - began < 1
            assert child.renewed == 1
            child.failing = set()
            await asyncio.sleep(2 * recovery.RETRY_S)
            assert engine.ready

    run(play())


def test_a_recognizer_in_the_daemons_own_process_that_fails_for_a_while_is_tried_until_it_is_well():
    async def play() -> None:
        child = Child()
        async with recovering(child, own_process=True) as engine:
            child.failing = {"talker", TRIAL}
            while engine.ready:
                await ask(engine, "talker")
                await asyncio.sleep(0.2)
            await asyncio.sleep(2 * recovery.RETRY_S)
            child.failing = set()
            await asyncio.sleep(2 * recovery.RETRY_S)

            assert engine.ready

    run(play())


def test_while_streams_are_answered_nothing_is_tried():
    async def play() -> None:
        child = Child()
        async with recovering(child) as engine:
            warm = child.asked.count(TRIAL)
            for _ in range(10):
                await ask(engine, "talker")
                await asyncio.sleep(recovery.RETRY_S)

        assert child.asked.count(TRIAL) == warm

    run(play())


@pytest.mark.parametrize("cause", [Cause.MEMORY, Cause.CRASHED])
def test_whatever_the_process_was_lost_for_clients_are_told_and_after_a_lack_of_memory_no_more_come_for_a_while(cause):
    child, now, told = Child(), 100.0, []
    mending = Recovery(Engine(child, 8), cast("Supervisor", child), clock=lambda: now)
    mending.on_restart = told.append
    assert mending.has_memory
    assert child.on_loss is not None
    child.on_loss(Loss(cause, "it is gone"))

    assert told == [recovery.RESTARTED]
    assert mending.has_memory == (cause is not Cause.MEMORY)
    now += recovery.MEMORY_PAUSE_S
    assert mending.has_memory
