"""Measure how long a word takes to appear, to be committed, and to be final.

    python -m benchmarks.latency [--seconds 120] [--streams 2] [--model demo]

A real daemon is run, and speech with known word times pushed through real WebSockets, in real time, several streams at
once. The definitions of the delays are those of `benchmarks/delays.py`; all of them contain everything a user would
wait for: the framing of the audio, the wait for the next update, decoding and the network (loopback here).

Writes latency.md, latency.png and latency.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass

from benchmarks import machine, speech
from benchmarks.daemon import running_daemon
from benchmarks.delays import Delays, measure, percentile
from benchmarks.plot import plot_latency
from benchmarks.stream import Recording, push
from streamer.config import Config

STAGGER_S = 0.37
"""Between the starts of two streams, so that their updates do not fall together."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    seconds: float
    streams: int
    model: str


def main() -> None:
    """Measure, print and write."""
    options = parse()
    where = machine.describe()
    print(f"{options.streams} streams of {options.seconds:g} s through a daemon, in real time …", flush=True)
    recordings = asyncio.run(run_streams(options))
    delays = Delays()
    for recording in recordings:
        delays.add(measure(recording))
    table = describe(options, where, recordings, delays)
    machine.write("latency.md", table)
    raw = {"machine": where, "options": asdict(options), "delays": asdict(delays)}
    machine.write("latency.json", json.dumps(raw, indent=1) + "\n")
    plot_latency(delays, machine.RESULTS / "latency.png")
    print(table)


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Delays of words.")
    parser.add_argument("--seconds", type=float, default=120, help="speech per stream")
    parser.add_argument("--streams", type=int, default=2, help="streams at once")
    parser.add_argument("--model", default="demo")
    return Options(**vars(parser.parse_args()))


async def run_streams(options: Options) -> list[Recording]:
    """Push every stream in real time, and return what came back."""
    with running_daemon(options.model) as daemon:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(
                    push(daemon.address, speech.speak(options.seconds, seed=index), delay_s=STAGGER_S * index)
                )
                for index in range(options.streams)
            ]
        return [task.result() for task in running]


def describe(options: Options, where: str, recordings: list[Recording], delays: Delays) -> str:
    """Write the table."""
    config = Config()
    lags = [lag for recording in recordings for lag in recording.lags()]
    rows = [
        ("word first shown, after its end", delays.shown),
        ("word committed, after its end", delays.committed),
        ("utterance final, after the end of its last word", delays.final),
        ("lag the daemon reports", lags),
    ]
    body = "\n".join(
        f"| {name} | {percentile(values, 50):.2f} s | {percentile(values, 95):.2f} s | {percentile(values, 99):.2f} s |"
        for name, values in rows
    )
    return f"""# Latency

`make bench`, or `python -m benchmarks.latency --seconds {options.seconds:g} --streams {options.streams} \
--model {options.model}`

Model: {options.model}. Speech: {speech.source()}. Machine: {where}.
{options.streams} streams at once, {options.seconds:g} s each, in real time over WebSocket on loopback; an update at \
most every {config.session.update_interval_ms} ms, an utterance ends {config.endpoint.hangover_ms} ms after speech \
(the time to final contains that).

| delay | p50 | p95 | p99 |
|---|---|---|---|
{body}

{delays.spoken} words spoken, {delays.missed} missed, {delays.extra} extra; {delays.erased} shown words were taken \
back before their commit ({delays.erased / max(delays.spoken, 1):.2f} per word), none after. Committed word times are \
{percentile(delays.timing, 50) * 1000:.0f} ms (median) from the true ones.

![Delays](latency.png)
"""


if __name__ == "__main__":
    main()
