"""The line to the device."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from model.types import DecodeRequest, Hypothesis
from streamer.recognition.batch import Batch
from streamer.recognition.device import DeviceLost
from streamer.recognition.engine import MOST_ATTEMPTS, Engine
from streamer.recognition.health import FAILURES_UNTIL_DOUBT, TRIAL
from streamer.recognition.lanes import Lane
from streamer.recognition.runner import EngineError
from streamer.recognition.suspects import MOST_CONVICTIONS, MOST_LOST
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
        self.deadline = 0.0

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


async def test_without_a_device_no_request_is_made_yet():
    async def available() -> None:
        await back.wait()

    back, source = asyncio.Event(), Source("a")
    async with running(Engine(LevelRecognizer(), 8, available=available)) as engine, asyncio.TaskGroup() as group:
        answer = group.create_task(engine.transcribe(source))
        for _ in range(10):
            await asyncio.sleep(0)
        source.audio = speak([1, 2, 3])
        back.set()

        assert len((await answer).words) == 3, "it holds the newest audio"


async def test_a_source_with_nothing_to_ask_gets_nothing_and_holds_up_nobody():
    async with running(Engine(LevelRecognizer(), 8)) as engine, asyncio.timeout(20):
        answers = await asyncio.gather(
            engine.transcribe(Source("a", empty=True)), engine.transcribe(Source("b"), background=True)
        )

    assert [answer is None for answer in answers] == [True, False]


async def test_one_streams_failure_is_its_own():
    class Ear:
        def __init__(self) -> None:
            self.failed: list[int] = []

        def batch_done(self, batch: Batch) -> None:
            pass

        def batch_failed(self, size: int) -> None:
            self.failed.append(size)

    recognizer, ear = Poisoned(), Ear()
    async with running(Engine(recognizer, 8, observers=(ear,))) as engine:
        names = ["a", "poison", "b"]
        answers = await asyncio.gather(*(engine.transcribe(Source(name)) for name in names), return_exceptions=True)

        assert [type(answer) for answer in answers] == [Hypothesis, EngineError, Hypothesis]
        assert "illegal memory access" in str(answers[1])
        assert recognizer.batches == [3, 1, 1, 1]
        assert ear.failed == [3, 1]
        assert engine.ready


async def test_a_stream_all_of_whose_requests_fail_makes_a_trial_due_and_nobody_unready():
    async with running(Engine(Poisoned(), 8)) as engine, asyncio.timeout(20):
        for _ in range(FAILURES_UNTIL_DOUBT):
            with pytest.raises(EngineError):
                await engine.transcribe(Source("poison"))
        await engine.doubted()

        assert engine.ready


async def test_a_trial_that_fails_makes_the_engine_unready_until_something_works():
    class Ill(LevelRecognizer):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            if batch[0].stream == TRIAL:
                raise RuntimeError("illegal memory access")
            return super().transcribe(batch)

    async with running(Engine(Ill(), 8)) as engine, asyncio.timeout(20):
        with pytest.raises(EngineError):
            await engine.transcribe(Source(TRIAL))
        assert not engine.ready
        await engine.doubted()
        await engine.transcribe(Source("a"))

        assert engine.ready
        doubt = asyncio.ensure_future(engine.doubted())
        await asyncio.sleep(0)
        assert doubt.cancel(), "it is in doubt no more"


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


async def test_a_departed_stream_is_forgotten_though_nobody_asks_for_anything_any_more():
    class Attentive(LevelRecognizer):
        def forget(self, stream: str) -> None:
            loop.call_soon_threadsafe(heard.set_result, stream)

    loop = asyncio.get_running_loop()
    heard = loop.create_future()
    async with running(Engine(Attentive(), 8)) as engine, asyncio.timeout(20):
        await engine.transcribe(Source("old"))
        engine.forget("old")

        assert await heard == "old"


async def test_those_in_line_are_cancelled_when_the_engine_stops():
    recognizer = Gate()
    engine = Engine(recognizer, 8)
    assert not engine.ready
    async with asyncio.TaskGroup() as group:
        task = group.create_task(engine.run())
        answer = group.create_task(engine.transcribe(Source("a")))
        await recognizer.entered.get()
        assert engine.ready
        waiting = group.create_task(engine.transcribe(Source("b")))
        await asyncio.sleep(0)
        task.cancel()
        recognizer.let.release(5)
        await asyncio.wait([answer, waiting])

        assert answer.cancelled()
        assert waiting.cancelled()
        assert not engine.ready


async def test_the_recognizer_works_on_one_thread_only_which_ends_with_the_engine():
    threads: set[threading.Thread] = set()

    class Spy(LevelRecognizer):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            threads.add(threading.current_thread())
            return super().transcribe(batch)

    async with running(Engine(Spy(), 1)) as engine:
        await asyncio.gather(*(engine.transcribe(Source(str(n))) for n in range(10)))

    (thread,) = threads
    assert thread.name == "recognizer"
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


class Broken(Source):
    """A session with a bug."""

    def next_request(self) -> DecodeRequest | None:
        raise IndexError("a bug in this session")


class Undecided(Broken):
    """A session that cannot even say whether it is urgent."""

    deadline = 0.0

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


class Doubtful(LevelRecognizer):
    """Settles the requests of each stream at an attempt of its own; the likeliest is the second."""

    def __init__(self, **attempts: int) -> None:
        super().__init__()
        self.attempts = attempts
        self.served: list[list[tuple[str, int]]] = []

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.served.append([(request.stream, request.attempt or 0) for request in batch])
        return [
            replace(
                answer,
                settled=request.attempt is None or request.attempt + 1 >= self.attempts.get(request.stream, 1),
                average_log_probability=-abs((request.attempt or 0) - 1.0),
            )
            for request, answer in zip(batch, super().transcribe(batch), strict=True)
        ]


async def test_an_answer_that_is_not_settled_is_asked_for_again_and_the_best_attempt_is_delivered():
    recognizer = Doubtful(a=4)
    async with running(Engine(recognizer, 8)) as engine:
        answer = await engine.transcribe(Source("a"))

    assert recognizer.served == [[("a", 0)], [("a", 1)], [("a", 2)], [("a", 3)]]
    assert answer is not None
    assert answer.average_log_probability == 0.0, "the second attempt was the best"


async def test_a_recognizer_that_never_settles_is_taken_at_its_best_word():
    recognizer = Doubtful(a=10**6)
    async with running(Engine(recognizer, 8)) as engine:
        assert await engine.transcribe(Source("a")) is not None

    assert len(recognizer.served) == MOST_ATTEMPTS


async def test_the_request_of_a_later_attempt_is_that_of_the_first():
    recognizer = Doubtful(a=3)
    source = Source("a")
    asked: list[DecodeRequest] = []
    once = source.next_request

    def next_request() -> DecodeRequest | None:
        request = once()
        assert request is not None
        asked.append(request)
        return request

    source.next_request = next_request  # type: ignore[method-assign]
    async with running(Engine(recognizer, 8)) as engine:
        await engine.transcribe(source)

    assert len(asked) == 1
    assert all(request.audio is asked[0].audio for request in recognizer.requests)


async def test_another_attempt_that_fails_leaves_what_the_first_came_to():
    class Brittle(Doubtful):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            if batch[0].attempt:
                raise RuntimeError("out of memory")
            return super().transcribe(batch)

    async with running(Engine(Brittle(a=4), 8)) as engine:
        answer = await engine.transcribe(Source("a"))

        assert answer is not None
        assert not answer.settled


async def ask_again_and_again(engine: Engine, name: str, times: int) -> None:
    """Ask as soon as the last answer is there: a stream on a device that is always behind."""
    for _ in range(times):
        await engine.transcribe(Source(name))


@pytest.mark.parametrize("attempts", [2, 6])
async def test_a_stream_that_always_takes_the_slow_path_costs_the_others_no_batch_of_theirs(attempts):
    async def batches(**slow: int) -> list[list[tuple[str, int]]]:
        recognizer = Doubtful(**slow)
        async with running(Engine(recognizer, 8)) as engine:
            await asyncio.gather(*(ask_again_and_again(engine, name, 12) for name in "abcd"))
        return recognizer.served

    def theirs(served: list[list[tuple[str, int]]]) -> list[list[str]]:
        fast = [[stream for stream, attempt in batch if stream != "a" and not attempt] for batch in served]
        return [batch for batch in fast if batch]

    alone, beside = await batches(), await batches(a=attempts)

    assert theirs(beside) == theirs(alone) == [["b", "c", "d"]] * 12
    slow = [bool(batch[0][1]) for batch in beside]
    while_both_wait = slow[: 2 * 11]
    assert not any(one and other for one, other in itertools.pairwise(while_both_wait)), "one between two of theirs"
    assert [attempt for batch in beside for _, attempt in batch if attempt] == [*range(1, attempts)] * 12


async def test_the_slow_lane_is_served_in_every_second_batch_however_much_waits_in_the_fast_one():
    recognizer = Doubtful(a=5)
    async with running(Engine(recognizer, 2)) as engine:
        crowd = [ask_again_and_again(engine, f"b{number}", 4) for number in range(8)]
        await asyncio.gather(engine.transcribe(Source("a")), *crowd)

    attempts = [index for index, batch in enumerate(recognizer.served) if batch[0][0] == "a" and batch[0][1]]
    assert [later - earlier for earlier, later in itertools.pairwise(attempts)] == [2, 2, 2]


async def test_whoever_has_waited_longest_is_served_first():
    recognizer = Gate()
    async with running(Engine(recognizer, 2)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("first")))
        await recognizer.entered.get()
        for name, deadline in (("new", 3.0), ("old", 1.0), ("older", 0.5)):
            source = Source(name)
            source.deadline = deadline
            group.create_task(engine.transcribe(source))
        recognizer.let.release(3)

        assert await recognizer.entered.get() == ["older", "old"]
        assert await recognizer.entered.get() == ["new"]


async def test_observers_hear_lane_time_and_what_was_due():
    class Ear:
        def __init__(self) -> None:
            self.heard: list[Batch] = []

        def batch_done(self, batch: Batch) -> None:
            self.heard.append(batch)

        def batch_failed(self, size: int) -> None:
            raise AssertionError(size)

    ear, now = Ear(), 100.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    early, late = Source("early"), Source("late")
    early.deadline, late.deadline = 50.0, 1e6
    engine = Engine(Doubtful(early=2), 8, observers=(ear,), clock=clock)
    async with running(engine):
        await asyncio.gather(engine.transcribe(early), engine.transcribe(late))
        await engine.transcribe(Source("recording"), background=True)

    assert [(batch.lane, len(batch.hypotheses), batch.seconds) for batch in ear.heard] == [
        (Lane.FAST, 2, 1.0),
        (Lane.SLOW, 1, 1.0),
        (Lane.BACKGROUND, 1, 1.0),
    ]
    assert ear.heard[0].due == 0.5, "a client ahead of real time can wait"
    assert ear.heard[0].waits[0] == 3.0, "since it was made known: it was due before"
    assert ear.heard[0].waits[1] < 0
    assert ear.heard[2].due == 0.0, "nobody listens to a recording meanwhile"


async def test_an_answer_is_owed_in_line_and_on_the_device_if_it_is_due():
    recognizer = Gate()
    async with running(Engine(recognizer, 1, clock=lambda: 100.0)) as engine, asyncio.TaskGroup() as group:
        assert not engine.owing
        early = Source("ahead of real time")
        early.deadline = 101.0
        group.create_task(engine.transcribe(early))
        group.create_task(engine.transcribe(Source("recording"), background=True))
        await recognizer.entered.get()
        assert not engine.owing

        answer = group.create_task(engine.transcribe(Source("talker")))
        await asyncio.sleep(0)
        assert engine.owing, "in line"
        recognizer.let.release()
        assert await recognizer.entered.get() == ["talker"]
        assert engine.owing, "on the device"
        recognizer.let.release(2)
        await answer
        assert not engine.owing


async def test_it_is_known_since_when_somebody_has_waited_and_how_many_batches_were_finished():
    recognizer, now = Gate(), 0.0
    async with running(Engine(recognizer, 1, clock=lambda: now)) as engine, asyncio.TaskGroup() as group:
        assert (engine.waiting_since, engine.batches) == (None, 0)
        now = 1.0
        first = group.create_task(engine.transcribe(Source("first")))
        await recognizer.entered.get()
        now = 2.0
        second = group.create_task(engine.transcribe(Source("second")))
        await asyncio.sleep(0)
        assert engine.waiting_since == 1.0, "on the device"
        recognizer.let.release(2)
        await first
        assert (engine.waiting_since, engine.batches) == (2.0, 1)
        await second
        assert (engine.waiting_since, engine.batches) == (None, 2)


async def test_a_batch_takes_no_more_than_its_time_allows():
    recognizer = Gate()
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.5
        return now

    engine = Engine(recognizer, 64, batch_seconds=lambda: 0.5, clock=clock)
    async with running(engine), asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("first")))
        await recognizer.entered.get()
        for number in range(10):
            group.create_task(engine.transcribe(Source(str(number))))
        await asyncio.sleep(0)
        recognizer.let.release(20)
        sizes = [len(await recognizer.entered.get()) for _ in range(2)]

    assert sizes[0] < 10
    assert engine.idle


async def test_how_many_go_together_is_learnt_from_first_attempts_alone():
    class Slow(Doubtful):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            nonlocal now
            now += 100.0 if batch[0].attempt else 0.125 * len(batch)
            return super().transcribe(batch)

    recognizer, now = Slow(a=3), 1000.0
    async with running(Engine(recognizer, 64, batch_seconds=lambda: 0.7, clock=lambda: now)) as engine:
        await engine.transcribe(Source("a"))
        await asyncio.gather(*(engine.transcribe(Source(f"b{number}")) for number in range(12)))

    assert [len(batch) for batch in recognizer.served] == [1, 1, 1, 6, 6]


class Fragile(LevelRecognizer):
    """Its device is lost under every batch that holds a stream called poison, and under as many more as is said."""

    def __init__(self, accidents: int = 0) -> None:
        super().__init__()
        self.accidents = accidents
        self.served: list[list[str]] = []

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        self.served.append([request.stream for request in batch])
        self.accidents -= 1
        if self.accidents >= 0 or "poison" in self.served[-1]:
            raise DeviceLost("it crashed")
        return super().transcribe(batch)


async def test_when_the_device_is_lost_the_innocent_are_answered_before_the_guilty_can_lose_it_again():
    recognizer = Fragile()
    async with running(Engine(recognizer, 8)) as engine:
        names = ["poison", "a", "b"]
        answers = await asyncio.gather(*(engine.transcribe(Source(name)) for name in names), return_exceptions=True)

        assert [type(answer) for answer in answers] == [EngineError, Hypothesis, Hypothesis]
        assert recognizer.served[0] == names
        assert all(len(batch) == 1 for batch in recognizer.served[1:])

        recognizer.served.clear()
        await asyncio.gather(*(engine.transcribe(Source(name)) for name in names), return_exceptions=True)

        assert recognizer.served == [["a", "b"], *[["poison"]] * MOST_LOST], "a suspect has no company"


async def test_a_device_that_is_lost_by_accident_costs_no_request():
    recognizer = Fragile(accidents=2)
    async with running(Engine(recognizer, 8)) as engine:
        answers = await asyncio.gather(*(engine.transcribe(Source(name)) for name in "abc"))
        await asyncio.gather(*(engine.transcribe(Source(name)) for name in "abc"))

    assert all(answers)
    assert recognizer.served[-1] == ["a", "b", "c"], "nobody is suspected any more"


async def test_a_stream_that_loses_the_device_again_and_again_is_not_tried_any_more():
    recognizer = Fragile()
    async with running(Engine(recognizer, 8)) as engine:
        for _ in range(MOST_CONVICTIONS + 3):
            with pytest.raises(EngineError):
                await engine.transcribe(Source("poison"))

        assert len(recognizer.served) < MOST_LOST * MOST_CONVICTIONS
        assert await engine.transcribe(Source("a")) is not None

        engine.forget("poison")
        with pytest.raises(EngineError):
            await engine.transcribe(Source("poison"))
        assert recognizer.served[-1] == ["poison"], "nothing is kept of a stream that has ended"


async def test_whoever_has_left_meanwhile_is_not_tried_again_after_a_loss():
    class Slow(Gate):
        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            answers = super().transcribe(batch)
            if len(batch) > 1:
                raise DeviceLost("it crashed")
            return answers

    recognizer = Slow()
    async with running(Engine(recognizer, 8)) as engine, asyncio.TaskGroup() as group:
        group.create_task(engine.transcribe(Source("first")))
        await recognizer.entered.get()
        gone = group.create_task(engine.transcribe(Source("gone")))
        group.create_task(engine.transcribe(Source("a")))
        await asyncio.sleep(0)
        recognizer.let.release()
        assert await recognizer.entered.get() == ["gone", "a"]
        gone.cancel()
        await asyncio.sleep(0)
        recognizer.let.release(2)

        assert await recognizer.entered.get() == ["a"]


async def test_what_was_lost_with_a_device_is_tried_again_once_there_is_another():
    class Mortal(LevelRecognizer):
        lives, deaths = False, 0

        def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
            if not self.lives or not self.deaths:
                self.lives, self.deaths = False, self.deaths + 1
                raise DeviceLost("it crashed")
            return super().transcribe(batch)

    async def available() -> None:
        recognizer.lives = True

    recognizer = Mortal()
    async with running(Engine(recognizer, 8, available=available)) as engine:
        assert all(await asyncio.gather(*(engine.transcribe(Source(name)) for name in "ab")))
    assert recognizer.deaths == 1


async def test_the_time_without_a_device_is_no_batchs():
    class Ear:
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def batch_done(self, batch: Batch) -> None:
            self.seconds.append(batch.seconds)

        def batch_failed(self, size: int) -> None:
            raise AssertionError(size)

    ear, now = Ear(), 0.0

    async def available() -> None:
        nonlocal now
        now += 100.0

    engine = Engine(Fragile(accidents=1), 8, observers=(ear,), clock=lambda: now, available=available)
    async with running(engine):
        await engine.transcribe(Source("a"))

    assert ear.seconds == [0.0]
