"""Real children that do what children should not."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from model.errors import ModelError
from model.types import WINDOW_SAMPLES, DecodeRequest, Segment, Word
from streamer.config import ConfigError
from streamer.processes.framing import framed
from streamer.recognition.device import DeviceLost
from streamer.worker.backoff import Backoff
from streamer.worker.causes import Cause
from streamer.worker.child import Child, RecognizerError
from streamer.worker.limits import Limits
from streamer.worker.supervisor import MOST_LINGERING, WorkerError, supervised
from tests.faulty.spoken import FrameRecognizer
from tests.streamer.harness import until
from tests.streamer.worker.processes import WINDOWS, ask, children, request, supervisor, text


async def test_a_child_answers_as_the_recognizer_itself_would():
    known = Segment(0, None, (Word(" 1.0", 11_200, 12_640, 0.9, (1 << 20,)),))
    batch = [
        request(1, 20),
        request(2, 7, prefix=(), prompt=(1, 2), language="de", final=False),
        DecodeRequest("1", 0, request(1, 3).audio, prefix=(known,), attempt=0),
        DecodeRequest("3", 1600, np.zeros(0, dtype=np.float32)),
    ]
    async with children() as running:
        assert await running.transcribe(batch) == FrameRecognizer().transcribe(batch)
        assert running.card == FrameRecognizer().card
        assert running.step_counts()["replays"] == 1


async def test_the_largest_batch_crosses_whole():
    audio = np.linspace(-0.01, 0.01, WINDOW_SAMPLES, dtype=np.float32)
    batch = [DecodeRequest(str(n), 0, audio + np.float32(n / 1000)) for n in range(WINDOWS)]
    async with children() as running:
        assert len(await running.transcribe(batch)) == WINDOWS


@pytest.mark.parametrize(
    ("fault", "cause", "detail"),
    [
        ("kill@1", Cause.KILLED, "SIGKILL"),
        ("segv@1", Cause.CRASHED, "SIGSEGV"),
        ("abort@1", Cause.CRASHED, "SIGABRT"),
        ("exit@1", Cause.EXITED, "status 0"),
        ("cuda@1", Cause.DEVICE, "device-side assert"),
        ("oom@1", Cause.MEMORY, "CUDA out of memory"),
    ],
)
async def test_a_child_that_ends_is_noticed_at_once_and_replaced(fault, cause, detail, caplog):
    async with children(fault) as running:
        lost: list[Cause] = []
        running.on_loss = lambda loss: lost.append(loss.cause)
        with pytest.raises(DeviceLost, match=detail):
            await running.transcribe([request()])
        (answer,) = await ask(running, request())

    assert text(answer) == " 1.0 1.1 1.2 1.3 1.4"
    assert lost == [cause]
    assert running.restarts == {cause: 1}
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert detail in line.getMessage()
    assert line.cause == cause


async def test_a_crash_is_logged_with_the_place_where_it_happened(caplog):
    async with children("segv@1") as running:
        await ask(running, request())

    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "faults.py" in line.exc_text


async def test_an_idle_child_that_dies_is_replaced_before_anybody_asks():
    async with children() as running:
        lost = asyncio.Event()
        running.on_loss = lambda _: lost.set()
        os.kill(running.pid, signal.SIGKILL)
        await lost.wait()
        assert not running.serving
        await running.available()

        assert running.restarts == {Cause.KILLED: 1}
        assert await running.transcribe([request()])


async def test_a_child_gives_signs_of_life_while_it_has_nothing_to_do_and_while_it_decodes():
    async def beats() -> None:
        for _ in range(2):
            before = running.silence
            while (now := running.silence) >= before:  # a beat has no event
                before = now
                await asyncio.sleep(0)

    async with children("hang@1") as running, asyncio.timeout(20):
        await beats()
        asking = asyncio.ensure_future(running.transcribe([request()]))
        await beats()
        assert not asking.done()
        asking.cancel()


@pytest.mark.parametrize("fault", ["stop@1", "spin:60@1"])
async def test_a_child_without_a_sign_of_life_is_killed_and_replaced(fault):
    async with children(fault, limits=Limits(heartbeat_s=1.5)) as running:
        began = monotonic()
        with pytest.raises(DeviceLost, match="no sign of life"):
            await running.transcribe([request()])
        assert monotonic() - began > 1

        assert await ask(running, request())
        assert running.restarts[Cause.HUNG]


async def test_a_child_that_keeps_its_connection_open_whatever_is_done_to_it_is_replaced_all_the_same():
    async with children("cling:20@1", limits=Limits(heartbeat_s=1.5)) as running, asyncio.timeout(15):
        assert await ask(running, request())

        assert running.restarts == {Cause.HUNG: 1}


async def test_no_more_processes_are_started_beside_too_many_that_the_kernel_cannot_end(monkeypatch):
    monkeypatch.setattr(Child, "lingers", property(lambda child: not child.gone), raising=True)
    monkeypatch.setattr(Child, "gone", False, raising=False)
    monkeypatch.setattr("streamer.worker.supervisor.LOOK_S", 0.01)
    async with children("exit@start>") as running:
        os.kill(running.pid, signal.SIGKILL)
        await until(lambda: len(running._lingering) == MOST_LINGERING)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert running._generation == MOST_LINGERING, "not one more, which would take long to end"
        Child.gone = True
        await until(lambda: running.restarts.total() > MOST_LINGERING)


async def test_a_child_that_hangs_while_it_loads_the_model_is_replaced_although_it_beats():
    async with children("hang@start=2", limits=Limits(heartbeat_s=30, least_load_s=3.0)) as running:
        os.kill(running.pid, signal.SIGKILL)
        assert await ask(running, request())

        assert running.restarts[Cause.OVERDUE] >= 1, "more on a machine so slow that a good load takes as long"


async def test_the_memory_shared_with_a_child_goes_with_it_even_if_nobody_collects_garbage():
    gc.collect()
    gc.disable()
    try:
        async with children("stop@1", limits=Limits(heartbeat_s=1.5)) as running:
            assert await ask(running, request())
            assert running.restarts[Cause.HUNG] == 1
            assert blocks() == 1
        assert blocks() == 0
    finally:
        gc.enable()


def blocks() -> int:
    """Count the files without a name that samples are shared through."""
    files = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]  # one is that of the listing
    return sum("streamer-audio" in str(path.readlink()) for path in files)


async def test_a_batch_that_takes_far_too_long_is_given_up_although_the_child_lives():
    async with children("hang@2", limits=Limits(heartbeat_s=30, least_batch_s=0.5, batch_s=20)) as running:
        await running.transcribe([request()])  # tells how long one takes
        with pytest.raises(DeviceLost, match=r"a batch of 1 took more than 0\.5 s"):
            await running.transcribe([request()])
        await ask(running, request())

        assert running.restarts == {Cause.OVERDUE: 1}


async def test_after_a_batch_was_given_up_the_next_one_has_twice_the_time():
    async with children("hang@2", "hang@child>=2", limits=Limits(heartbeat_s=30, least_batch_s=0.5, batch_s=20)) as own:
        await own.transcribe([request()])
        allowed = []
        for _ in range(2):
            await own.available()
            with pytest.raises(DeviceLost, match="a batch of 1 took more than") as caught:
                await own.transcribe([request()])
            allowed.append(float(str(caught.value).split()[-2]))

    assert allowed[1] == pytest.approx(2 * allowed[0], abs=0.1)


async def test_an_error_of_the_recognizer_comes_back_with_its_story_and_the_child_lives():
    async with children("raise@1") as running:
        pid = running.pid
        with pytest.raises(RecognizerError, match="a bug in the recognizer") as caught:
            await running.transcribe([request()])
        assert "faults.py" in caught.value.__notes__[0]

        assert await running.transcribe([request()])
        assert running.pid == pid


async def test_an_answer_that_nobody_waits_for_any_more_is_given_to_nobody_else_and_costs_no_process():
    async def give_up() -> None:
        asking = asyncio.ensure_future(running.transcribe([request(1)]))
        await asyncio.sleep(0)  # sent
        asking.cancel()
        await asyncio.wait([asking])

    async with children() as running:
        pid = running.pid
        await give_up()
        (answer,) = await running.transcribe([replace(request(2), start=16_000)])
        assert (answer.start, text(answer)) == (16_000, " 2.0 2.1 2.2 2.3 2.4")

        await give_up()
        before = running.silence
        await until(lambda: running.silence > before + 0.01)
        await until(lambda: running.silence < before + 0.01)  # a beat, if not the answer itself
        assert await running.transcribe([request(2)])
        assert running.pid == pid


async def test_a_request_that_cannot_be_sent_is_an_error_and_harms_nobody():
    wrong = DecodeRequest("a", 0, np.zeros((2, 100), dtype=np.float32))
    long = DecodeRequest("a", 0, np.zeros(WINDOWS * WINDOW_SAMPLES + 1, dtype=np.float32))
    async with children() as running:
        for bad, complaint in ((wrong, r"\(n,\) float32"), (long, "at most")):
            with pytest.raises(ValueError, match=complaint):
                await running.transcribe([bad])

        assert await running.transcribe([request()])
        assert not running.restarts


async def test_a_batch_that_does_not_fit_into_memory_is_halved_until_it_does():
    async with children("oom@rows=2") as running:
        answers = await running.transcribe([request(key, 3) for key in range(8)])

        assert [text(answer) for answer in answers] == [f" {key}.0 {key}.1 {key}.2" for key in range(8)]
        assert [answer.statistics.batch for answer in answers] == [2] * 8
        assert not running.restarts


async def test_what_the_child_logs_and_what_its_libraries_print_is_in_the_parents_log(caplog):
    caplog.set_level(logging.INFO)
    async with children("print@1", "oom@rows=1") as running:
        await running.transcribe([request(1), request(2)])
        await ask(running, request())

    said = {record.name: record.getMessage() for record in caplog.records}
    assert said["streamer.worker.halving"] == "a batch of 2 did not fit into memory; 1 are tried"
    assert said["streamer.worker.errors"] == "a library says something"


async def test_a_child_is_told_which_streams_have_ended():
    async with children() as running:
        for _ in range(2):
            await running.transcribe([request()])
            await running.forget("1")
        await running.transcribe([request()])

        assert running.step_counts()["evictions"] == 2


async def test_counts_of_steps_outlive_the_child():
    async with children("kill@3") as running:
        for _ in range(3):
            await ask(running, request())

        assert running.step_counts()["replays"] == 3


@pytest.mark.parametrize(("fault", "error"), [("refuse@start", ModelError), ("config@start", ConfigError)])
async def test_a_model_that_cannot_be_had_at_the_start_is_the_same_error_as_in_the_daemons_own_process(fault, error):
    with pytest.raises(ExceptionGroup) as caught:
        async with children(fault):
            pytest.fail("there is a model")

    (cause,) = caught.value.exceptions
    assert type(cause) is error
    assert str(cause) in {"the model is not there", "model.name must be another"}


async def test_a_child_that_crashes_while_it_loads_at_the_start_is_an_error():
    with pytest.raises(ExceptionGroup) as caught:
        async with children("segv@start"):
            pytest.fail("there is a model")

    (cause,) = caught.value.exceptions
    assert isinstance(cause, WorkerError)
    assert "SIGSEGV" in str(cause)


async def test_a_program_that_is_not_there_is_an_error_at_the_start():
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(supervisor(program=["/nowhere/python"])) as running:
            await running.loaded()

    assert isinstance(caught.value.exceptions[0], FileNotFoundError)


async def test_a_program_that_is_not_there_for_a_while_is_tried_until_it_is():
    async with children() as running:
        program, running._command = running._command, ["/nowhere/python"]
        os.kill(running.pid, signal.SIGKILL)
        await until(lambda: running.restarts[Cause.REFUSED] > 1)
        assert not running.serving
        running._command = program

        assert await ask(running, request())


NONSENSE = {
    "no message": b"abc",
    "no text": b"\x82\xa4type\xa7refused\xa7message\xa2\xff\xff",
    "no end": b"\x82\xa4type\xa3log\xa6fields\x81\xa1a" + b"\x91" * 10_000,
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_a_program_that_talks_nonsense_is_killed(what):
    talk = "import os, sys, time; os.write(int(sys.argv[-4]), bytes.fromhex(sys.argv[1])); time.sleep(100)"
    program = [sys.executable, "-c", talk, framed(NONSENSE[what]).hex()]
    with pytest.raises(ExceptionGroup) as caught:
        async with supervised(supervisor(program=program)) as running:
            await running.loaded()

    assert "cannot be understood" in str(caught.value.exceptions[0])


class Patience(Backoff):
    """Never waits, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__(0, 0)
        self.noted: list[str] = []

    def pause(self) -> float:
        self.noted.append("lost")
        return super().pause()

    def succeed(self) -> None:
        self.noted.append("well")
        super().succeed()


async def test_children_that_crash_at_the_start_again_and_again_are_tried_with_growing_pauses():
    patience = Patience()
    async with children("exit@start=2", "abort@start=3", "refuse@start=4", "memory@start=5", backoff=patience) as own:
        os.kill(own.pid, signal.SIGKILL)
        await ask(own, request())

        assert own.restarts == {Cause.KILLED: 1, Cause.EXITED: 1, Cause.CRASHED: 1, Cause.REFUSED: 1, Cause.MEMORY: 1}
    assert patience.noted == [*["lost"] * 5, "well"]


async def test_a_child_that_had_the_model_for_a_minute_was_well_though_nobody_asked_it(monkeypatch):
    patience = Patience()
    async with children(backoff=patience) as own:
        for minute_s in (3600.0, 0.0):
            monkeypatch.setattr("streamer.worker.supervisor.SETTLED_S", minute_s)
            lost = own.restarts.total()
            os.kill(own.pid, signal.SIGKILL)
            await until(lambda lost=lost: own.restarts.total() > lost)
            await own.available()

    assert patience.noted == ["lost", "well", "lost"]


async def test_a_child_that_is_of_no_use_can_be_replaced():
    async with children() as running:
        pid = running.pid
        running.renew("every request failed")
        await ask(running, request())

        assert running.pid != pid
        assert running.restarts == {Cause.FAILING: 1}


async def test_the_child_ends_with_its_supervisor_and_nothing_is_left():
    def left() -> tuple[set[str], int]:
        gc.collect()  # what earlier tests left
        return set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = left()
    async with children("kill@1") as running:
        await ask(running, request())
        pid = running.pid

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert left() == before


async def test_signals_to_the_group_are_the_parents_business():
    async with children() as running:
        pid = running.pid
        assert os.getpgid(pid) != os.getpgid(0), "Ctrl-C in a terminal goes to the parent's group"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        await running.transcribe([request()])

        assert running.pid == pid


async def test_the_child_is_told_no_secret_and_no_service_managers_address(monkeypatch):
    monkeypatch.setenv("STREAMER_SERVER_TOKEN", "xyzzy")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    async with children() as running:
        variables = Path(f"/proc/{running.pid}/environ").read_text()  # noqa: ASYNC240

    assert "xyzzy" not in variables
    assert "NOTIFY_SOCKET" not in variables
    assert "PATH=" in variables
