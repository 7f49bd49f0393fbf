"""The line to the device."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from model.types import DecodeRequest, Hypothesis
from streamer.engine import Engine, EngineError
from tests.fakes import LevelRecognizer, speak


class Gate(LevelRecognizer):
    """Holds every batch until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Queue[list[str]]()
        self.loop = asyncio.get_running_loop()
        self.let = threading.Semaphore(0)

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.loop.call_soon_threadsafe(self.entered.put_nowait, [request.stream for request in batch])
        assert self.let.acquire(timeout=20)
        return super().transcribe(batch)


class Poisoned(LevelRecognizer):
    """Fails on every batch that holds a stream called poison."""

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.batches.append(len(batch))
        if any(request.stream == "poison" for request in batch):
            raise RuntimeError("illegal memory access")
        return [self.answer(request) for request in batch]


class Source:
    """Asks once, for one word."""

    def __init__(self, stream: str, *, final: bool = False, empty: bool = False) -> None:
        self.stream, self.wants_final, self.empty = stream, final, empty
        self.audio = speak([1])

    def next_request(self) -> DecodeRequest | None:
        return None if self.empty else DecodeRequest(self.stream, 0, self.audio, final=self.wants_final)


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(engine.run())
        yield engine
        task.cancel()


async def test_requests_that_arrive_while_a_batch_runs_form_the_next_batch():
    recognizer = Gate()
    async with running(Engine(recognizer, 8)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("a")))
        assert await recognizer.entered.get() == ["a"]
        for name in "bcd":
            group.create_task(engine.transcribe(Source(name)))
        recognizer.let.release(2)

        assert await recognizer.entered.get() == ["b", "c", "d"]


async def test_finals_go_before_partials_and_a_batch_has_its_limit():
    recognizer = Gate()
    async with running(Engine(recognizer, 2)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("first")))
        await recognizer.entered.get()
        for name in ("b", "c", "final"):
            group.create_task(engine.transcribe(Source(name, final=name == "final")))
        recognizer.let.release(3)

        assert await recognizer.entered.get() == ["final", "b"]
        assert await recognizer.entered.get() == ["c"]


async def test_a_request_is_made_when_its_turn_comes():
    recognizer = Gate()
    async with running(Engine(recognizer, 8)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("a")))
        await recognizer.entered.get()
        late = Source("late")
        answer = group.create_task(engine.transcribe(late))
        await asyncio.sleep(0)
        late.audio = speak([1, 2, 3])
        recognizer.let.release(2)

        hypothesis = await answer
        assert hypothesis is not None
        assert [word.text for word in hypothesis.words] == [" w1", " w2", " w3"]


async def test_a_source_with_nothing_to_ask_gets_nothing_and_holds_up_nobody():
    async with running(Engine(LevelRecognizer(), 8)) as engine:
        assert await engine.transcribe(Source("a", empty=True)) is None
        assert await engine.transcribe(Source("b")) is not None


async def test_one_streams_failure_is_its_own():
    recognizer = Poisoned()
    async with running(Engine(recognizer, 8)) as engine:
        names = ["a", "poison", "b"]
        answers = await asyncio.gather(*(engine.transcribe(Source(name)) for name in names), return_exceptions=True)

        assert [type(answer) for answer in answers] == [Hypothesis, EngineError, Hypothesis]
        assert "illegal memory access" in str(answers[1])
        assert recognizer.batches == [3, 1, 1, 1]
        assert engine.ready


async def test_repeated_failure_of_everything_makes_the_engine_unready_until_something_works():
    async with running(Engine(Poisoned(), 8)) as engine:
        for _ in range(3):
            with pytest.raises(EngineError):
                await engine.transcribe(Source("poison"))
        assert not engine.ready
        await engine.transcribe(Source("a"))

        assert engine.ready


async def test_whoever_leaves_the_line_is_not_decoded():
    recognizer = Gate()
    async with running(Engine(recognizer, 8)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("a")))
        await recognizer.entered.get()
        gone = group.create_task(engine.transcribe(Source("gone")))
        group.create_task(engine.transcribe(Source("c")))
        await asyncio.sleep(0)
        gone.cancel()
        recognizer.let.release(2)

        assert await recognizer.entered.get() == ["c"]


async def test_a_departed_stream_is_forgotten_by_the_recognizer():
    recognizer = LevelRecognizer()
    async with running(Engine(recognizer, 8)) as engine:
        engine.forget("old")
        await engine.transcribe(Source("a"))

    assert recognizer.forgotten == ["old"]


async def test_those_in_line_are_cancelled_when_the_engine_stops():
    recognizer = Gate()
    engine = Engine(recognizer, 8)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(engine.run())
        answer = group.create_task(engine.transcribe(Source("a")))
        await recognizer.entered.get()
        waiting = group.create_task(engine.transcribe(Source("b")))
        await asyncio.sleep(0)
        task.cancel()
        recognizer.let.release(5)
        await asyncio.wait([answer, waiting])

        assert answer.cancelled()
        assert waiting.cancelled()
        assert not engine.ready


async def test_the_recognizer_works_on_one_thread_only():
    threads: set[str] = set()

    class Spy(LevelRecognizer):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            threads.add(threading.current_thread().name)
            return super().transcribe(batch)

    async with running(Engine(Spy(), 1)) as engine:
        await asyncio.gather(*(engine.transcribe(Source(str(n))) for n in range(10)))

    assert len(threads) == 1
    assert threads.pop().startswith("recognizer")


class Broken(Source):
    """A session with a bug."""

    def next_request(self) -> DecodeRequest | None:
        raise IndexError("a bug in this session")


class Undecided(Broken):
    """A session that cannot even say whether it is urgent."""

    def __init__(self, stream: str) -> None:
        self.stream = stream

    @property
    def wants_final(self) -> bool:
        raise IndexError("a bug in this session")


@pytest.mark.parametrize("source", [Broken("a"), Undecided("a")])
async def test_a_sessions_own_bug_is_heard_by_that_session_only(source):
    async with running(Engine(LevelRecognizer(), 8)) as engine:
        answers = await asyncio.gather(
            engine.transcribe(source), engine.transcribe(Source("b")), return_exceptions=True
        )

        assert [type(answer) for answer in answers] == [IndexError, Hypothesis]
        assert await engine.transcribe(Source("c")) is not None


async def test_a_recognizer_that_answers_too_few_fails_and_does_not_stop_the_engine():
    class Mute(LevelRecognizer):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            return [] if batch[0].stream == "a" else super().transcribe(batch)

    async with running(Engine(Mute(), 8)) as engine:
        with pytest.raises(EngineError, match="answered 0 of 1"):
            await engine.transcribe(Source("a"))

        assert await engine.transcribe(Source("b")) is not None


async def test_a_batch_that_hangs_does_not_keep_the_process_alive():
    recognizer = Gate()
    engine = Engine(recognizer, 8)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(engine.run())
        answer = group.create_task(engine.transcribe(Source("a")))
        await recognizer.entered.get()
        task.cancel()
        await asyncio.wait([answer])

    stuck = [thread for thread in threading.enumerate() if thread.name == "recognizer"]
    assert stuck
    assert all(thread.daemon for thread in stuck)
    recognizer.let.release()
