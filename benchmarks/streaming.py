"""Compare streaming systems on the same weights and the same audio: how late, how stable and how right, at what cost.

    python -m benchmarks.streaming [--minutes 30] [--processes 2] [--model demo] [--seed 1]
        [--speakers NAME ...] [--peers 1] [--whisper-streaming FOLDER] [--simulstreaming FOLDER] [--whisper-live FOLDER]

Recorded digits are joined into streams: continuous speech and short phrases, each without noise and at 20 and 10 dB.
Every system hears them live in virtual time (`emission.py`): the clock is the audio, and work takes the CPU seconds it
used. `outcome.py` defines the figures. Settings of ours that are there for their cost hear a few minutes only.

The peers are other people's programs: a folder is where a clone of one lies, see docs/benchmarks.md. One that is not
given or cannot run is stated as not measured.

`--speakers` is for weights that were trained without them: then all their takes are heard, and nobody else's.

Writes streaming.md, streaming.png and streaming.json to `benchmarks/results/`, with `--speakers` streaming_strangers.*.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks import heat, machine
from benchmarks.conditions import Condition, conditions
from benchmarks.contestants import PROGRAMS, Contestant, ours, peers
from benchmarks.heat import Result
from benchmarks.plot import plot_tradeoff
from benchmarks.speech import EVERYONE, SPEAKERS, Cast, strangers
from benchmarks.streaming_table import describe, entries, raw


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    minutes: float
    processes: int
    model: str
    seed: int
    peers: float
    speakers: tuple[str, ...] = ()
    """Those whom the weights have never heard; empty for everyone."""
    whisper_streaming: Path | None = None
    simulstreaming: Path | None = None
    whisper_live: Path | None = None

    @property
    def folders(self) -> dict[str, Path | None]:
        """Where the peers are."""
        return dict(zip(PROGRAMS, (self.whisper_streaming, self.simulstreaming, self.whisper_live), strict=True))

    @property
    def command(self) -> str:
        """What to type to do it again."""
        given = [f"--{name} FOLDER" for name, folder in self.folders.items() if folder is not None]
        command = (
            f"python -m benchmarks.streaming --minutes {self.minutes:g} --processes {self.processes} "
            f"--model {spelt(self.model)} --seed {self.seed} --peers {self.peers:g}"
        )
        speakers = [f"--speakers {' '.join(self.speakers)}"] if self.speakers else []
        return " ".join([command, *speakers, *given])

    @property
    def cast(self) -> Cast:
        """Who is heard. Raises ValueError for a speaker who is not there."""
        return strangers(self.speakers) if self.speakers else EVERYONE

    @property
    def results(self) -> str:
        """Name of the files."""
        return "streaming_strangers" if self.speakers else "streaming"


def spelt(model: str) -> str:
    """Return a model as a command line for others to read has it: where their folders are is their own."""
    return "FOLDER" if Path(model).is_dir() else model


def main() -> None:
    """Measure, print and write."""
    options = parse()
    where = machine.describe()
    everyone: list[Contestant] = [
        *peers(options.folders, options.peers, options.model),
        *ours(options.model, options.peers),
    ]
    found = entries(compare(options, everyone))
    table = describe(options.command, options.model, where, found, cast=options.cast, picture=f"{options.results}.png")
    machine.write(f"{options.results}.md", table)
    figures = {"machine": where, "command": options.command, "systems": [raw(entry) for entry in found]}
    machine.write(f"{options.results}.json", json.dumps(figures, indent=1) + "\n")
    points = {entry.name: entry.point for entry in found if entry.point is not None}
    plot_tradeoff(points, machine.RESULTS / f"{options.results}.png")
    print(table)


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Streaming systems on the same weights and the same audio.")
    parser.add_argument("--minutes", type=float, default=30, help="audio, over all kinds of speech and noise")
    parser.add_argument("--processes", type=int, default=2, help="streams heard at the same time; one core each")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--peers", type=float, default=1, help="share of the audio for peers, which take most of the time"
    )
    for name in PROGRAMS:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help="where a clone of it lies")
    parser.add_argument("--speakers", nargs="+", choices=SPEAKERS, default=(), help="whom the weights never heard")
    given = vars(parser.parse_args())
    return Options(**{**given, "speakers": tuple(given["speakers"])})


def compare(options: Options, contestants: list[Contestant]) -> list[Result]:
    """Let everyone hear every stream that is meant for it, and show how far it is."""
    shares = {contestant.share for contestant in contestants}
    streams = {share: conditions(options.minutes * share, options.seed, options.cast) for share in shares}
    everything = [stream for some in streams.values() for stream in some]
    with tempfile.TemporaryDirectory() as folder, processes(options.processes) as pool:
        print(f"offline: {len(everything)} streams, {options.minutes * sum(shares):g} minutes …", flush=True)
        heard = list(pool.map(heat.listen_offline, [options.model] * len(everything), everything))
        offline: dict[Condition, tuple[str, ...]] = dict(zip(everything, heard, strict=True))
        # The costly ones first, so that no process waits for the other at the end.
        jobs = [
            pool.submit(heat.compete, contestant, condition, offline[condition], Path(folder))
            for contestant in sorted(contestants, key=lambda contestant: -contestant.share)
            for condition in streams[contestant.share]
        ]
        results = list(followed(jobs))
    return sorted(results, key=lambda result: contestants.index(result.contestant))


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that share nothing, for a fork would copy another thread's locks."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=heat.start) as pool:
        yield pool


def followed(jobs: list[Future[Result]]) -> Iterator[Result]:
    """Yield results as they come, and say so; of what cannot be measured only once."""
    began = time.monotonic()
    absent: set[Contestant] = set()
    for number, job in enumerate(as_completed(jobs), start=1):
        result = job.result()
        what = result.outcome.condition.name if result.outcome else f"not measured, {result.settings}"
        if result.contestant not in absent:
            print(f"[{number}/{len(jobs)}, {time.monotonic() - began:.0f} s] {result.name}: {what}", flush=True)
        if result.outcome is None:
            absent.add(result.contestant)
        yield result


if __name__ == "__main__":
    main()
