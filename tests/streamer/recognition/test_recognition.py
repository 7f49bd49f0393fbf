"""What a server has of recognition, put together; time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from streamer.config import Config, ModelConfig, ServerConfig, WorkerConfig
from streamer.metrics import Metrics
from streamer.recognition.engine import MOST_ATTEMPTS
from streamer.recognition.health import TRIAL
from streamer.recognition.recognition import Recognition
from streamer.recognition.stall import PATIENCE_S
from tests.fakes import LevelRecognizer, speak
from tests.streamer.crowd import VirtualDevice, affine
from tests.streamer.worker.processes import supervisor
from tests.virtual_time import run

CONFIG = Config(server=ServerConfig(max_load=0.9))
WANTED, WIDEST = (
    milliseconds * SAMPLE_RATE // 1000
    for milliseconds in (CONFIG.session.update_interval_ms, CONFIG.session.max_update_interval_ms)
)


class Source:
    """Asks for one word whenever it is its turn, as soon as it is there."""

    wants_final = False

    def __init__(self) -> None:
        self.deadline = asyncio.get_running_loop().time()

    def next_request(self) -> DecodeRequest:
        return DecodeRequest("s", 0, speak([1]))


class World:
    """Recognition on a device that takes so long for each row."""

    def __init__(self, row_s: float, recognizer: Any = None, config: Config = CONFIG) -> None:
        self.clock = asyncio.get_running_loop().time
        self.device = VirtualDevice(affine(0.0, row_s))
        self.metrics = Metrics()
        self.sessions = 0
        self.loop_s = 0.0
        self.recognition = Recognition(
            recognizer or LevelRecognizer(),
            config,
            self.metrics,
            sessions=lambda: self.sessions,
            clock=self.clock,
            loop_clock=lambda: self.loop_s,
            make_device=lambda _: self.device,
        )

    async def ask(self, count: int = 1) -> None:
        """Have so many ask at once, and wait for their answers."""
        await asyncio.gather(*(self.recognition.engine.transcribe(Source()) for _ in range(count)))

    async def ask_for(self, seconds: float, count: int) -> None:
        """Have so many ask again and again."""
        until = self.clock() + seconds
        while self.clock() < until:
            await self.ask(count)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the engine."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.recognition.engine.run())
            yield
            task.cancel()


def play(row_s: float, scene: Callable[[World], Any], **options: Any) -> None:
    """Play a scene in a world whose engine runs."""

    async def main() -> None:
        world = World(row_s, **options)
        async with world.running():
            await scene(world)

    run(main())


def test_before_anybody_came_the_warm_up_tells_how_many_there_is_room_for():
    async def scene(world: World) -> None:
        world.device.cost = lambda batch: 0.025 * sum(len(request.audio) for request in batch) / SAMPLE_RATE
        await asyncio.sleep(0.0)
        assert world.recognition.engine.ready
        assert not world.recognition.happens(), "nobody has seen it decode"
        await world.recognition.warm_up()
        assert world.recognition.happens()
        assert world.recognition.has_room_for(9)
        assert not world.recognition.has_room_for(10)
        world.sessions = 4
        assert world.recognition.has_room_for(5)
        assert not world.recognition.has_room_for(6)
        await asyncio.sleep(1.0)
        assert recognizer.forgotten == [TRIAL]

    recognizer = LevelRecognizer()
    play(0.0, scene, recognizer=recognizer)  # a window of 6 s takes 0.15 s, 0.094 of the widest interval


def test_without_a_bound_there_is_room_for_all():
    async def scene(world: World) -> None:
        await world.recognition.warm_up()
        assert world.recognition.has_room_for(1000)

    play(0.15, scene, config=Config(server=ServerConfig(max_load=0.0)))


@pytest.mark.parametrize(("waits", "interval"), [(False, WANTED), (True, WIDEST)])
def test_a_device_that_is_behind_stretches_updates_until_nobody_waits_for_it(waits, interval):
    async def scene(world: World) -> None:
        await world.ask_for(60.0, 8)
        assert world.recognition.governor.interval == WIDEST
        world.device.cost = affine(1000.0, 0.0)
        waiting = asyncio.ensure_future(world.ask()) if waits else None
        await asyncio.sleep(100.0)

        assert world.recognition.governor.interval == interval
        if waiting is not None:
            waiting.cancel()

    play(0.5, scene)


@pytest.mark.parametrize(("most", "sizes"), [(32, [1, 8, 8, 4]), (5, [1, 5, 5, 5, 5])])
def test_batches_are_no_larger_than_is_set_nor_than_fits_into_a_part_of_the_interval(most, sizes):
    async def scene(world: World) -> None:
        await world.ask()
        await world.ask(20)

        assert [len(batch) for batch in world.device.batches] == sizes

    play(0.0101, scene, config=replace(CONFIG, model=ModelConfig(max_batch=most)))


@pytest.mark.parametrize(("speed", "room"), [(1.0, False), (50.0, True)])
def test_an_event_loop_that_is_busy_with_recordings_keeps_nobody_out(speed, room):
    async def scene(world: World) -> None:
        world.sessions = 2
        for _ in range(20):
            world.metrics.heard(round(2 * speed * SAMPLE_RATE))
            world.loop_s += 0.95
            await asyncio.sleep(1.0)
            await world.ask()

        assert world.recognition.has_room_for(1) == room

    play(0.001, scene)


class Doubtful(LevelRecognizer):
    """Never settles."""

    def answer(self, request: DecodeRequest, size: int = 1) -> Hypothesis:
        return replace(super().answer(request, size), settled=False)


def test_a_recognizer_that_is_slow_is_alive_as_long_as_it_finishes_batches():
    async def scene(world: World) -> None:
        waiting = asyncio.ensure_future(world.ask())
        for _ in range(MOST_ATTEMPTS - 1):
            await asyncio.sleep(0.5 * PATIENCE_S)
            assert world.recognition.alive()
        await waiting
        assert world.recognition.alive()

        world.device.cost = affine(10 * PATIENCE_S, 0.0)
        waiting = asyncio.ensure_future(world.ask())
        await asyncio.sleep(1.1 * PATIENCE_S)
        assert not world.recognition.alive()
        waiting.cancel()

    play(0.5 * PATIENCE_S, scene, recognizer=Doubtful())


def test_a_supervisor_has_the_time_of_two_batches_to_mend_what_is_stuck():
    async def main() -> None:
        config = replace(CONFIG, worker=WorkerConfig(batch_timeout_s=PATIENCE_S))
        world = World(0.0, recognizer=supervisor(), config=config)
        async with world.running():
            waiting = asyncio.ensure_future(world.ask())
            await asyncio.sleep(1.9 * PATIENCE_S)
            assert world.recognition.alive()
            await asyncio.sleep(0.2 * PATIENCE_S)
            assert not world.recognition.alive()
            waiting.cancel()

    run(main())
