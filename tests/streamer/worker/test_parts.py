"""What needs no process."""

from __future__ import annotations

import os
import signal
from math import inf

import numpy as np
import pytest

from streamer.config import WorkerConfig
from streamer.processes.children import environment
from streamer.worker.backoff import Backoff
from streamer.worker.block import Block, anonymous_file
from streamer.worker.causes import Cause, loss_of
from streamer.worker.errors import FATAL, MOST_LINES, ErrorOutput
from streamer.worker.limits import MOST_LOAD_S, BatchAllowance, Limits, LoadAllowance
from streamer.worker.trouble import Trouble, trouble_of
from streamer.worker.vigil import Vigil


class OutOfMemoryError(RuntimeError):
    """As torch's."""


class AcceleratorError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), Trouble.MEMORY),
        (OutOfMemoryError("Allocation on device 0 would exceed allowed memory"), Trouble.MEMORY),
        (MemoryError(), Trouble.MEMORY),
        (RuntimeError("could not create a memory object"), Trouble.MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), Trouble.MEMORY),
        (RuntimeError("CUDA error: out of memory"), Trouble.MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), Trouble.MEMORY),
        (RuntimeError("CUDA error: device-side assert triggered"), Trouble.DEVICE),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), Trouble.DEVICE),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), Trouble.DEVICE),
        (AcceleratorError("unspecified launch failure"), Trouble.DEVICE),
        (RuntimeError("could not create a primitive"), Trouble.REQUEST),
        (ValueError("audio must be finite, got out of memory"), Trouble.REQUEST),
        (RuntimeError("shape mismatch"), Trouble.REQUEST),
    ],
)
def test_errors_are_told_apart_by_what_helps(error, trouble):
    assert trouble_of(error) is trouble


@pytest.mark.parametrize(
    ("status", "cause"),
    [(0, Cause.EXITED), (3, Cause.EXITED), (-9, Cause.KILLED), (-11, Cause.CRASHED), (-64, Cause.CRASHED)],
)
def test_an_exit_status_is_explained(status, cause):
    assert loss_of(status).cause is cause


def test_pauses_grow_to_a_minute_and_begin_anew_after_an_answer():
    backoff = Backoff()

    assert [backoff.pause() for _ in range(11)] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    backoff.succeed()
    assert [backoff.pause() for _ in range(3)] == [0, 0, 1]


def test_a_batch_is_allowed_what_its_like_have_taken_and_much_more():
    allowance = BatchAllowance(Limits(batch_s=100, least_batch_s=1))

    assert allowance.seconds(10) == 100, "of the first nothing is known"
    allowance.learn(10, 1.0)
    assert allowance.seconds(10) == pytest.approx(20)
    assert allowance.seconds(0.1) == 1
    assert allowance.seconds(1000) == 100
    allowance.miss()
    assert allowance.seconds(10) == pytest.approx(40), "the machine may be slow"
    assert allowance.seconds(0.1) == 2, "for small batches, too"
    assert allowance.seconds(1000) == 100
    allowance.learn(10, 0.5)
    assert allowance.seconds(10) == pytest.approx(20, rel=0.05), "the slowest fades"


@pytest.mark.parametrize(("longest", "usual"), [(120.0, 10.0), (3.0, 3.0)])
def test_a_batch_of_the_usual_kind_is_given_up_sooner_than_the_longest_that_is_set_allows(longest, usual):
    limits = Limits.of(WorkerConfig(heartbeat_timeout_s=7.0, batch_timeout_s=longest))
    allowance = BatchAllowance(limits)

    assert limits.heartbeat_s == 7.0
    assert allowance.seconds(10) == longest
    allowance.learn(10, 0.001)
    assert allowance.seconds(10) == usual
    assert Vigil(0.0, limits).pause < usual / 5, "looked at several times before it is over"


def test_a_load_is_allowed_what_the_ones_before_have_taken_and_more_and_the_first_all_the_time_there_is():
    allowance = LoadAllowance(Limits(least_load_s=10))

    assert allowance.seconds == inf
    allowance.learn(1)
    assert allowance.seconds == 10
    allowance.learn(50)
    assert allowance.seconds == 200
    allowance.learn(3)
    assert allowance.seconds == 200, "what was in memory may have to come from a disk next time"
    allowance.miss()
    assert allowance.seconds == 400, "the disk may be slow"
    allowance.learn(10_000)
    assert allowance.seconds == MOST_LOAD_S, "the first one may have been a download"


def vigil(**options: float) -> Vigil:
    """Keep one from the time 100 on."""
    limits = Limits(heartbeat_s=5, loading_s=60, batch_s=100, least_batch_s=1)
    return Vigil(100.0, limits, **options)


def test_a_child_that_is_silent_is_hung_and_may_be_silent_longer_while_it_loads():
    own = vigil()
    assert own.verdict(159.0) is None
    assert own.verdict(161.0).cause is Cause.HUNG
    own.hear(150.0)
    assert own.load(150.0) == 50.0
    assert own.verdict(154.0) is None
    assert own.verdict(156.0).cause is Cause.HUNG


def test_a_child_that_beats_and_does_not_load_the_model_in_its_time_is_overdue():
    own = vigil(load_s=200.0)
    own.hear(310.0)
    assert own.verdict(299.0) is None
    assert own.verdict(310.0).cause is Cause.OVERDUE
    own.load(310.0)
    assert own.verdict(312.0) is None


def test_a_batch_has_its_time_and_no_more_once_it_has_ended():
    own = vigil()
    own.load(100.0)
    own.begin(100.0, 3, 20.0)
    own.hear(121.0)
    assert own.verdict(119.0) is None
    assert own.verdict(121.0).detail == "a batch of 3 took more than 20.0 s"
    own.end()
    assert own.verdict(121.0) is None


def test_a_parent_that_stood_still_blames_nobody():
    own = vigil(load_s=200.0)
    own.begin(100.0, 1, 20.0)
    own.excuse(1000.0, 900.0)

    assert own.verdict(1019.0) is None
    assert own.verdict(1021.0).cause is Cause.OVERDUE


def test_a_parent_that_stood_still_forgives_no_more_than_the_time_in_which_it_did():
    silent, loading = vigil(), vigil(load_s=20.0)
    silent.load(100.0)
    for own in (silent, loading):
        own.excuse(114.0, 10.0)
    loading.hear(130.0)

    assert silent.verdict(114.5) is None
    assert silent.verdict(115.5).cause is Cause.HUNG, "4 s of the silence were before"
    assert loading.verdict(129.0) is None
    assert loading.verdict(131.0).cause is Cause.OVERDUE


def test_both_sides_of_a_block_see_the_same_samples_and_the_copy_is_ones_own():
    descriptor = anonymous_file(1)
    ours, theirs = Block(descriptor, 1), Block(descriptor, 1)
    os.close(descriptor)
    one, two = np.arange(5, dtype=np.float32), np.ones(3, dtype=np.float32)
    places = ours.put(one), ours.put(two)
    copies = [theirs.take(np.ndarray, place) for place in places]
    ours.clear()
    ours.put(np.full(8, 9.0, dtype=np.float32))

    assert [copy.tolist() for copy in copies] == [one.tolist(), two.tolist()]


async def test_a_flood_on_standard_error_is_shown_in_part_and_last_words_are_kept(caplog):
    import asyncio

    stream = asyncio.StreamReader(limit=100)
    stream.feed_data(b"x" * 1000 + b"\n")
    stream.feed_data(b"a line\n" * (2 * MOST_LINES))
    stream.feed_data(f"{FATAL}: Segmentation fault\n  at \x1b[31m home\n".encode())
    stream.feed_eof()
    output = ErrorOutput()
    await output.read(stream)

    assert len(caplog.records) == MOST_LINES
    assert output.last_words == f"{FATAL}: Segmentation fault\n  at \x1b[31m home"


def test_the_daemons_own_variables_stay_with_it():
    assert environment({"HOME": "/", "STREAMER_SERVER_TOKEN": "x", "LISTEN_FDS": "1"}) == {"HOME": "/"}


def test_a_signal_that_is_unknown_has_a_number():
    assert str(signal.SIGRTMAX) in loss_of(-signal.SIGRTMAX).detail or "SIGRTMAX" in loss_of(-signal.SIGRTMAX).detail
