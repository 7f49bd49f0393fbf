"""Many clients in processes of their own, so that they disturb what is measured no more than they must."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from websockets.exceptions import ConnectionClosed

from benchmarks import speech
from benchmarks.delays import Delays, measure
from benchmarks.stream import Recording, RefusedError, push

PER_PROCESS = 48
"""Clients of one process: they take a fifth of a core."""
PREPARATION_S = 3.0
"""Until a process has started, and less than 0.1 s a client for its speech."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one client is to do."""

    seed: int
    seconds: float
    delay: float
    """Seconds after the first client."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one client. Times in seconds."""

    audio: float
    """Length of what was to be sent."""
    refused: str = ""
    """How it was refused: the error's code and the close code."""
    waited: float = 0.0
    """From connecting to the refusal."""
    failure: str = ""
    """What ended it before its audio was decided, a gap included; must be empty."""
    delays: Delays = field(default_factory=Delays)
    lags: tuple[float, ...] = ()
    speech: float = 0.0
    """Audio in utterances, which is decoded again and again."""
    interval: float = 0.0
    """Between two updates as the daemon announced it, averaged over the stream."""
    widest: float = 0.0
    """The widest interval announced."""
    late_send: float = 0.0
    """How late the worst chunk left."""


def run_clients(address: str, tasks: Sequence[Task], interval: float) -> list[Outcome]:
    """Run all clients side by side; `interval` is what holds as long as the daemon announces none."""
    count = -(-len(tasks) // PER_PROCESS)
    start = time.monotonic() + PREPARATION_S + 0.1 * len(tasks) / count
    shares = [tasks[index::count] for index in range(count)]
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(run_share, address, share, interval, start) for share in shares]
        return [outcome for future in running for outcome in future.result()]


def run_share(address: str, tasks: Sequence[Task], interval: float, start: float) -> list[Outcome]:
    """Run some of the clients in this process; `start` is the moment of the first, on the machine's monotonic clock."""
    talks = [speech.speak(task.seconds, task.seed) for task in tasks]

    async def run() -> list[Outcome]:
        clients = (run_client(address, talk, task, interval, start) for talk, task in zip(talks, tasks, strict=True))
        return await asyncio.gather(*clients)

    return asyncio.run(run())


async def run_client(address: str, talk: speech.Speech, task: Task, interval: float, start: float) -> Outcome:
    """Run one client; `start` and `interval` as in run_share and run_clients."""
    try:
        recording = await push(address, talk, delay_s=max(start + task.delay - time.monotonic(), 0.0))
    except* RefusedError as refusal:
        outcome = Outcome(talk.seconds, refused=describe(refusal), waited=waited(refusal))
    except* (RuntimeError, ConnectionClosed, OSError) as failure:
        outcome = Outcome(talk.seconds, failure=describe(failure))
    else:
        outcome = sum_up(recording, interval)
    return outcome


def describe(group: BaseExceptionGroup[BaseException]) -> str:
    """Return what the first exception of a group has to say."""
    error = first(group)
    return f"{error.code} {error.close}" if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"


def waited(group: BaseExceptionGroup[RefusedError]) -> float:
    """Return the seconds until the first refusal of a group."""
    error = first(group)
    assert isinstance(error, RefusedError)
    return error.waited


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group, however deep."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def sum_up(recording: Recording, interval: float) -> Outcome:
    """Bring what one client heard into figures."""
    finals = [arrival.message for arrival in recording.of("final")]
    taken = recording.of("done")[-1].message["audio"]
    mean, widest = announced(recording, interval)
    return Outcome(
        audio=recording.speech.seconds,
        failure="" if taken == recording.speech.seconds else f"{taken} s of {recording.speech.seconds} s were decided",
        delays=measure(recording),
        lags=tuple(recording.lags()),
        speech=sum(final["end"] - final["start"] for final in finals),
        interval=mean,
        widest=widest,
        late_send=recording.latest_send,
    )


def announced(recording: Recording, interval: float) -> tuple[float, float]:
    """Return the update interval averaged over a stream, and the widest; `interval` holds at its start."""
    end = recording.arrivals[-1].at
    total, since, widest = 0.0, 0.0, interval
    for arrival in recording.of("pace"):
        total += interval * (arrival.at - since)
        since, interval = arrival.at, arrival.message["interval"]
        widest = max(widest, interval)
    return (total + interval * (end - since)) / end, widest
