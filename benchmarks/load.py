"""Load a daemon with more and more clients until it refuses some, and see what becomes worse, when and how much.

    python -m benchmarks.load [--clients 1 8 16 24 32 48 64 96] [--seconds 25] [--model demo]

One daemon; for each number of clients, all of them push speech of their own in real time over WebSockets, on a schedule
that does not wait for the daemon, one coming after the other. They run in processes of their own, on the same cores.
After a level at which streams are refused no higher one is tried. What was accepted there is taken for the capacity,
and measured twice more: with that many clients, and with twice as many.

Lag is what the daemon reports with every message: audio received and not yet decoded. Commit delay counts from the true
end of a word. Updates are the windows decoded per second of speech; what an unloaded stream gets is what the first row
gets. A client that got somebody else's words would miss nine of ten digits, so the worst client is stated.

Writes load.md, load.png and load.json to `benchmarks/results/`. Exits with 1 if a stream that was accepted was dropped
or lost audio.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks import machine, speech
from benchmarks.clients import Outcome, Task, run_clients
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.delays import Delays, percentile
from benchmarks.load_plot import plot_load
from streamer.config import SessionConfig

APART_S = 0.15
"""Between one client's coming and the next one's."""
MANY = 4096
"""Sessions allowed: what refuses streams here is the load."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with one number of clients; times in seconds."""

    clients: int
    refusals: dict[str, int]
    """By error code and close code."""
    slowest_refusal: float
    """From connecting to the refusal."""
    failures: list[str]
    """Streams that were accepted and did not come to their end, or lost audio: why. Must be empty."""
    lag_p50: float
    lag_p95: float
    lag_p99: float
    commit_p50: float
    commit_p95: float
    interval: float
    """Between two updates as announced, mean over streams and time."""
    widest: float
    updates: float
    """Windows decoded per second of speech."""
    mean_batch: float
    cpu: float
    """CPU seconds of the daemon and its recognizer per second of one stream's audio."""
    missed: float
    """Share of spoken words that were not heard, or as another word."""
    extra: float
    worst: float
    """Missed and extra words, per word spoken, of the client that fared worst."""
    late_send: float
    """How late the worst chunk left the clients: large when the measuring side is overloaded itself."""

    @property
    def accepted(self) -> int:
        """Streams that were served."""
        return self.clients - sum(self.refusals.values())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="More and more clients.")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16, 24, 32, 48, 64, 96])
    parser.add_argument("--seconds", type=float, default=25, help="speech per client")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    where = machine.describe()
    levels: list[Level] = []
    with running_daemon(options.model, "--server.max-sessions", str(MANY)) as daemon:
        for clients in options.clients:
            print(f"{clients} clients of {options.seconds:g} s, in real time …", flush=True)
            levels.append(run_level(daemon, clients, options.seconds))
            if levels[-1].refusals:
                break
        overload = [
            run_level(daemon, clients, options.seconds)
            for clients in (levels[-1].accepted, 2 * levels[-1].accepted)
            if levels[-1].refusals
        ]
    command = f"python -m benchmarks.load --clients {' '.join(map(str, options.clients))} --seconds {options.seconds:g}"
    table = describe(levels, overload, f"{command} --model {options.model}", options.model, where)
    figures = {
        "machine": where,
        "levels": [asdict(level) for level in levels],
        "overload": [asdict(level) for level in overload],
    }
    machine.write("load.md", table)
    machine.write("load.json", json.dumps(figures, indent=1) + "\n")
    plot_load(
        [level.clients for level in levels],
        {f"p{percent}": [getattr(level, f"lag_p{percent}") for level in levels] for percent in (50, 95, 99)},
        [level.interval for level in levels],
        [level.accepted for level in levels],
        machine.RESULTS / "load.png",
    )
    print(table)
    sys.exit(any(level.failures for level in [*levels, *overload]))


def run_level(daemon: Daemon, clients: int, seconds: float) -> Level:
    """Run this many clients side by side."""
    before, cpu = daemon.metrics(), daemon.cpu_seconds_of_all()
    tasks = [Task(100 * clients + index, seconds, APART_S * index) for index in range(clients)]
    outcomes = run_clients(daemon.address, tasks, SessionConfig().update_interval_ms / 1000)
    cpu = daemon.cpu_seconds_of_all() - cpu
    return sum_up(outcomes, before, daemon.metrics(), cpu)


def sum_up(outcomes: Sequence[Outcome], before: dict[str, float], after: dict[str, float], cpu: float) -> Level:
    """Bring streams and metrics together."""

    def grown(name: str) -> float:
        return after[name] - before[name]

    served = [outcome for outcome in outcomes if not outcome.refused and not outcome.failure]
    lags = [lag for outcome in served for lag in outcome.lags]
    together = Delays()
    for outcome in served:
        together.add(outcome.delays)
    rows = grown("streamer_batch_size_sum")
    audio = sum(outcome.audio for outcome in outcomes if not outcome.refused)
    spoken = max(together.spoken, 1)
    return Level(
        clients=len(outcomes),
        refusals=dict(Counter(outcome.refused for outcome in outcomes if outcome.refused)),
        slowest_refusal=max((outcome.waited for outcome in outcomes), default=0.0),
        failures=[outcome.failure for outcome in outcomes if outcome.failure],
        lag_p50=percentile(lags, 50),
        lag_p95=percentile(lags, 95),
        lag_p99=percentile(lags, 99),
        commit_p50=percentile(together.committed, 50),
        commit_p95=percentile(together.committed, 95),
        interval=sum(outcome.interval for outcome in served) / max(len(served), 1),
        widest=max((outcome.widest for outcome in served), default=0.0),
        updates=rows / max(sum(outcome.speech for outcome in served), 1e-9),
        mean_batch=rows / max(grown("streamer_batch_size_count"), 1),
        cpu=cpu / max(audio, 1e-9),
        missed=together.missed / spoken,
        extra=together.extra / spoken,
        worst=max((outcome.delays.error_rate for outcome in served), default=0.0),
        late_send=max((outcome.late_send for outcome in served), default=0.0),
    )


def describe(levels: Sequence[Level], overload: Sequence[Level], command: str, model: str, where: str) -> str:
    """Write the table."""
    rows = "\n".join(describe_level(level, levels[0]) for level in levels)
    everything = [*levels, *overload]
    failures = [f"{level.clients} clients: {failure}" for level in everything for failure in level.failures]
    lost = "\n".join(f"- {failure}" for failure in failures) if failures else "None."
    return f"""# Load

`make bench`, or `{command}`

Model: {model}. Speech: {speech.source()}. Machine: {where}. The clients run on the same cores, in processes of their
own, and come {APART_S:g} s apart; the daemon has no limit of sessions but its measured load.

| clients | refused | slowest refusal | dropped | lag p50 | lag p95 | lag p99 | commit p50 | commit p95 \
| interval, widest | updates per s of speech, of the first row's | windows per batch | CPU per stream, relative \
| words missed, extra | worst client | latest chunk sent |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
{describe_overload(overload, levels[0])}
Streams that were accepted and then dropped, or that lost audio:
{lost}

Lag is audio received and not yet decoded. Commit is the delay from the true end of a word to its commit. Interval is
between two updates of a stream, as the daemon announced it, mean over streams and time. CPU per stream is the CPU time
of the daemon and its recognizer per second of one stream's audio, relative to the first row. A word heard as another
one is both missed and extra. Latest chunk sent tells how far the clients themselves fell behind.

![lag, interval and streams served against the number of clients](load.png)
"""


def describe_overload(overload: Sequence[Level], first: Level) -> str:
    """Write the rows at capacity and at twice that; nothing where nobody was refused."""
    if not overload:
        return ""
    rows = "\n".join(describe_level(level, first) for level in overload)
    full, twice = overload
    return f"""{rows}

The last two rows: as many clients as were accepted in the row above, and twice as many. The 99th percentile of the lag
of accepted streams at twice the capacity is {twice.lag_p99 / max(full.lag_p99, 1e-9):.2f} times that at capacity.
"""


def describe_level(level: Level, first: Level) -> str:
    """Write one row."""
    refused = ", ".join(f"{count} ({code})" for code, count in level.refusals.items()) or "0"
    return (
        f"| {level.clients} | {refused} | {level.slowest_refusal:.2f} s | {len(level.failures)} "
        f"| {level.lag_p50:.2f} s | {level.lag_p95:.2f} s | {level.lag_p99:.2f} s "
        f"| {level.commit_p50:.2f} s | {level.commit_p95:.2f} s "
        f"| {level.interval:.2f}, {level.widest:.1f} s | {level.updates:.2f}, {level.updates / first.updates:.0%} "
        f"| {level.mean_batch:.1f} | {level.cpu / first.cpu:.2f} | {level.missed:.1%}, {level.extra:.1%} "
        f"| {level.worst:.1%} | {level.late_send:.2f} s |"
    )


if __name__ == "__main__":
    main()
