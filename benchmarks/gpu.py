"""Measure what a GPU can serve: encoder, decoding step, one stream's turnaround, streams at two updates a second.

    python -m benchmarks.gpu [--models large-v3-turbo,large-v3,small] [--precision float16]
    python -m benchmarks.gpu --device cpu --models tiny --quick

Networks of released shapes and random weights (`gpu_network.py`): what they cost is what trained ones cost, what they
say means nothing. So each update is given 30 new tokens, and drafts that have a given share of them right. Beside the
figures stand those of a roofline (`roofline.py`). Writes gpu.md, gpu.png and gpu.json to `benchmarks/results/`; without
a GPU it says so and exits with 69, unless `--device cpu` asks for the same on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from time import monotonic

import torch

from benchmarks import gpu_report, machine
from benchmarks.gpu_measure import Bench, Update, Updates, encoder_seconds, step_seconds
from benchmarks.gpu_network import SHAPES, Shape, build
from benchmarks.gpu_plot import plot_gpu
from benchmarks.gpu_reuse import ReusedUpdates
from model.decoding.graphs import GraphCapture, Stepping
from model.device import Precision, set_up

LONGEST = 30.0
"""Seconds of a window that is full: no other update follows one, so that nothing is used again."""
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is measured."""

    positions: tuple[int, ...] = (320, 512, 1500)
    """Encoder positions: about 5 s and 8 s with their margin of silence, and 30 s."""
    batches: tuple[int, ...] = (1, 4, 16, 64)
    windows: tuple[float, ...] = (5.0, 8.0, 30.0)
    """Seconds of audio of an update."""
    acceptances: tuple[float | None, ...] = (None, 0.5, 0.76, 0.9, 1.0)
    crowds: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Streams decoded together, to find how many can be served."""
    compiled: bool = True
    """Whether the encoder is also measured under torch.compile."""


QUICK = Sizes((320,), (1, 2), (2.0,), (None, 0.9), (1, 2), compiled=False)


@dataclass(slots=True)
class Results:
    """All figures of one model, by what was measured."""

    shape: Shape
    encoder: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)
    """Seconds by (batch, positions) and "plain" or "compiled"."""
    steps: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)
    """Seconds by (batch, positions) and "graph" or "eager"."""
    turnaround: dict[tuple[float, float | None], Update] = field(default_factory=dict)
    """One stream, by (seconds, acceptance)."""
    crowds: dict[tuple[int, float, float | None], Update] = field(default_factory=dict)
    """By (streams together, seconds, acceptance)."""
    reused: dict[tuple[int, float, float | None], Update] = field(default_factory=dict)
    """The same with 30 s of context, of which an update computes what is near new audio."""
    left_out: list[str] = field(default_factory=list)
    """What there was no time or memory for, or went wrong."""

    def as_json(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return {
            "shape": asdict(self.shape),
            "left_out": self.left_out,
            "encoder": [{"batch": b, "positions": t, **found} for (b, t), found in self.encoder.items()],
            "steps": [{"batch": b, "positions": t, **found} for (b, t), found in self.steps.items()],
            "turnaround": [{"seconds": s, "draft": a, **asdict(u)} for (s, a), u in self.turnaround.items()],
            **{
                name: [{"streams": n, "seconds": s, "draft": a, **asdict(u)} for (n, s, a), u in found.items()]
                for name, found in (("crowds", self.crowds), ("reused", self.reused))
            },
        }


class Measurement:
    """All figures of one model, as far as there is time."""

    def __init__(self, bench: Bench, shape: Shape, precision: Precision, sizes: Sizes, deadline: float) -> None:
        """deadline: on the monotonic clock; what has not begun by then is left out, and said to be."""
        self._bench, self._shape, self._sizes, self._deadline = bench, shape, sizes, deadline
        self._network = build(shape, bench.device, precision)
        self._results = Results(shape)

    def run(self) -> Results:
        """Measure everything."""
        torch.compiler.reset()  # what another model was compiled to counts against this one's limit
        for part in (self._turnaround, self._crowds, self._reused, self._steps, self._encoder):
            try:
                self._measure(part())
            except Exception as error:  # noqa: BLE001  # a device is lent for minutes: the other parts have their figures
                traceback.print_exc()
                self._results.left_out.append(f"{part.__name__.strip('_')}: {type(error).__name__}: {error}")
            self._bench.clear()
        return self._results

    def _measure(self, steps: Iterator[str]) -> None:
        for what in steps:
            if monotonic() > self._deadline:
                self._results.left_out.append(f"{what} and all after it: no time left")
                return

    def _encoder(self) -> Iterator[str]:
        ways = {"plain": False, "compiled": True} if self._sizes.compiled else {"plain": False}
        for way, compiled in ways.items():
            for positions in self._sizes.positions:
                for rows in self._sizes.batches:
                    found = encoder_seconds(self._bench, self._network, rows, positions, compiled=compiled)
                    self._results.encoder.setdefault((rows, positions), {})[way] = found
                    yield f"encoder, {way}"

    def _steps(self) -> Iterator[str]:
        graphs = self._bench.device.type == "cuda"
        for way in ("graph", "eager") if graphs else ("eager",):
            for positions in self._sizes.positions:
                for rows in self._sizes.batches:
                    stepping = Stepping(GraphCapture(self._bench.device)) if way == "graph" else Stepping()
                    found = step_seconds(self._bench, self._shape, self._network, (rows, positions), stepping)
                    self._results.steps.setdefault((rows, positions), {})[way] = found
                    yield f"step, {way}"

    def _turnaround(self) -> Iterator[str]:
        updates = Updates(self._bench, self._shape, self._network)
        for seconds in self._sizes.windows:
            for acceptance in self._sizes.acceptances:
                self._results.turnaround[seconds, acceptance] = updates.measure(1, seconds, acceptance)
                yield "turnaround"

    def _crowds(self) -> Iterator[str]:
        updates = Updates(self._bench, self._shape, self._network)
        for seconds in self._sizes.windows:
            for acceptance in (None, 0.76):
                yield from self._crowd(
                    seconds, acceptance, partial(updates.measure, acceptance=acceptance), self._results.crowds
                )

    def _reused(self) -> Iterator[str]:
        updates = ReusedUpdates(self._bench, self._shape, self._network)
        for seconds in self._sizes.windows:
            if seconds < LONGEST:
                yield from self._crowd(seconds, 0.76, partial(updates.measure, acceptance=0.76), self._results.reused)

    def _crowd(
        self,
        seconds: float,
        acceptance: float | None,
        measure: Callable[[int, float], Update],
        results: dict[tuple[int, float, float | None], Update],
    ) -> Iterator[str]:
        """Measure more and more streams together, until there is no memory for them."""
        for streams in self._sizes.crowds:
            try:
                found = measure(streams, seconds)
            except torch.OutOfMemoryError:
                self._results.left_out.append(f"{streams} streams of {seconds:g} s: not enough memory")
                return
            results[streams, seconds, acceptance] = found
            yield "streams"


def main() -> None:
    """Measure, print and write."""
    options = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA GPU is here; --device cpu measures the same on a CPU", file=sys.stderr)
        raise SystemExit(UNAVAILABLE)
    device = torch.device(options.device)
    set_up(device)
    bench = Bench(device, 0.02 if options.quick else 0.2)
    sizes = QUICK if options.quick else Sizes()
    deadline = monotonic() + options.minutes * 60
    results = []
    with torch.inference_mode():
        for number, shape in enumerate(options.models):
            print(f"{shape.name} …", flush=True)
            # Each model may take its share of what is left.
            share = (deadline - monotonic()) / (len(options.models) - number)
            results.append(Measurement(bench, shape, options.precision, sizes, monotonic() + share).run())
            bench.clear()
            table = write(results, device, options.precision)
    print(table)


def write(results: list[Results], device: torch.device, precision: Precision) -> str:
    """Write what there is so far; return the table."""
    gpu = f"{device_name(device)}, CUDA {torch.version.cuda}" if device.type == "cuda" else "no GPU used"
    where = f"{machine.describe(gpu)}; {precision}"
    table = gpu_report.describe(results, where, device_name(device), " ".join(sys.argv[1:]))
    machine.write("gpu.md", table)
    machine.write("gpu.json", json.dumps({"machine": where, "models": [r.as_json() for r in results]}, indent=1) + "\n")
    plot_gpu(results, machine.RESULTS / "gpu.png")
    return table


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What a GPU can serve.")
    parser.add_argument("--models", type=shapes, default="large-v3-turbo,large-v3,small", help=", ".join(SHAPES))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--precision", type=Precision, help="float16 on a GPU, float32 on a CPU")
    parser.add_argument("--minutes", type=float, default=7, help="after which nothing new is begun")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes only")
    options = parser.parse_args()
    options.precision = options.precision or (Precision.FLOAT16 if options.device == "cuda" else Precision.FLOAT32)
    if options.precision is Precision.INT8:
        parser.error("precision int8 has its own benchmark, benchmarks.engines")
    return options


def shapes(names: str) -> list[Shape]:
    """Return the shapes of a list of names. Raises ArgumentTypeError for one that is not known."""
    unknown = [name for name in names.split(",") if name not in SHAPES]
    if unknown:
        raise argparse.ArgumentTypeError(f"models must be some of {', '.join(SHAPES)}, got {', '.join(unknown)}")
    return [SHAPES[name] for name in names.split(",")]


def device_name(device: torch.device) -> str:
    """Return what the driver calls a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    main()
