"""Measure many clients at once: how far behind the daemon gets, how large its batches are, whose words each one gets.

    python -m benchmarks.streams [--clients 1 5 10 20] [--seconds 30] [--model demo]

One daemon; for each number of clients, all of them push speech of their own in real time. Lag is what the daemon
reports with every message: audio received and not yet decoded. Batch sizes are the difference of /metrics before and
after. A client that got somebody else's words would show an error rate near 180 % (nine of ten digits missed and
extra), so the worst client is stated.

Writes streams.md and streams.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from dataclasses import asdict, dataclass

from benchmarks import machine, speech
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.delays import Delays, measure, percentile
from benchmarks.stream import Recording, push

SPREAD_S = 2.0
"""The clients start within this time, each at a moment of its own."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with one number of clients; times in seconds."""

    clients: int
    lag_p50: float
    lag_p95: float
    commit_p50: float
    commit_p95: float
    batches: float
    mean_batch: float
    larger_batches: float
    """Share of batches that held more than one window."""
    cpu: float
    """CPU seconds of the daemon per second of one client's audio."""
    error_rate: float
    worst_error_rate: float
    """Of the client that fared worst."""
    late_send: float
    """How late the worst chunk left the clients: large when the measuring side is overloaded itself."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Many clients at once.")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--seconds", type=float, default=30, help="speech per client")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    where = machine.describe()
    levels = []
    with running_daemon(options.model) as daemon:
        for clients in options.clients:
            print(f"{clients} clients of {options.seconds:g} s, in real time …", flush=True)
            levels.append(asyncio.run(run_level(daemon, clients, options.seconds)))
    command = (
        f"python -m benchmarks.streams --clients {' '.join(map(str, options.clients))} --seconds {options.seconds:g}"
    )
    table = describe(levels, f"{command} --model {options.model}", options.model, where)
    machine.write("streams.md", table)
    machine.write(
        "streams.json", json.dumps({"machine": where, "levels": [asdict(x) for x in levels]}, indent=1) + "\n"
    )
    print(table)


async def run_level(daemon: Daemon, clients: int, seconds: float) -> Level:
    """Run this many clients side by side."""
    before, cpu = daemon.metrics(), daemon.cpu_seconds()
    chance = random.Random(clients)
    talks = [speech.speak(seconds, seed=100 * clients + index) for index in range(clients)]
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(push(daemon.address, talk, delay_s=chance.uniform(0, min(SPREAD_S, clients - 1))))
            for talk in talks
        ]
    cpu = daemon.cpu_seconds() - cpu
    return sum_up([task.result() for task in running], before, daemon.metrics(), cpu)


def sum_up(recordings: list[Recording], before: dict[str, float], after: dict[str, float], cpu: float) -> Level:
    """Bring streams and metrics together."""

    def grown(name: str) -> float:
        return after[name] - before[name]

    lags = [lag for recording in recordings for lag in recording.lags()]
    each = [measure(recording) for recording in recordings]
    together = Delays()
    for delays in each:
        together.add(delays)
    batches = grown("streamer_batch_size_count")
    audio = sum(recording.speech.seconds for recording in recordings)
    return Level(
        clients=len(recordings),
        lag_p50=percentile(lags, 50),
        lag_p95=percentile(lags, 95),
        commit_p50=percentile(together.committed, 50),
        commit_p95=percentile(together.committed, 95),
        batches=batches,
        mean_batch=grown("streamer_batch_size_sum") / max(batches, 1),
        larger_batches=1 - grown('streamer_batch_size_bucket{le="1.0"}') / max(batches, 1),
        cpu=cpu / audio,
        error_rate=together.error_rate,
        worst_error_rate=max(delays.error_rate for delays in each),
        late_send=max(recording.latest_send for recording in recordings),
    )


def describe(levels: list[Level], command: str, model: str, where: str) -> str:
    """Write the table."""
    rows = "\n".join(
        f"| {x.clients} | {x.lag_p50:.2f} s | {x.lag_p95:.2f} s | {x.commit_p50:.2f} s | {x.commit_p95:.2f} s "
        f"| {x.mean_batch:.1f} | {x.larger_batches:.0%} | {x.cpu / levels[0].cpu:.2f} | {x.error_rate:.1%} "
        f"| {x.worst_error_rate:.1%} | {x.late_send:.2f} s |"
        for x in levels
    )
    return f"""# Many streams

`make bench`, or `{command}`

Model: {model}. Speech: {speech.source()}. Machine: {where}. The clients run on the same cores.

| clients | lag p50 | lag p95 | commit p50 | commit p95 | windows per batch | batches of more than one \
| CPU per stream, relative | word errors | worst client | latest chunk sent |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

Lag is audio received and not yet decoded. Commit is the delay from the true end of a word to its commit. CPU per stream
is the daemon's CPU time per second of one stream's audio, relative to the first row. Word errors count a word heard as
another one twice, as missed and as extra. Latest chunk sent tells how far the clients themselves fell behind.
"""


if __name__ == "__main__":
    main()
