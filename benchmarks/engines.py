"""Measure one streaming update beside other engines: `python -m benchmarks.engines` (8 minutes on two cores).

A window of real speech, a text of a number of tokens that all engines say, drafts that have a share of it right: see
`engines_checkpoint.py`. Engines live in processes of their own and take turns, in reverse every other round; what
counts is the least processor time of all rounds, and only ratios of one run. Results go into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine, speech
from benchmarks.engines_checkpoint import SHAPES, Script, end_of, write_checkpoint
from benchmarks.engines_contestants import CONTESTANTS, Contestant, Folders
from benchmarks.engines_ggml import write_ggml
from benchmarks.engines_report import OURS, Cell, plot, report
from benchmarks.engines_turns import EngineProcess
from benchmarks.engines_work import Work, mean_update
from model.files.hub import demo_folder
from model.types import SAMPLE_RATE
from model.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured."""

    models: tuple[str, ...]
    windows: tuple[int, ...]
    tokens: int
    rounds: int
    threads: int

    @property
    def command(self) -> str:
        """The command line."""
        models, windows = " ".join(self.models), " ".join(map(str, self.windows))
        return (
            f"python -m benchmarks.engines --models {models} --windows {windows} --tokens {self.tokens} "
            f"--rounds {self.rounds} --threads {self.threads}"
        )


def main() -> None:
    """Measure, and write the results."""
    options = parse()
    where = machine.describe()
    cells: list[Cell] = []
    for model in options.models:
        with TemporaryDirectory() as folder:
            cells += measure(model, options, Path(folder))
    results = machine.RESULTS / "engines.json"
    machine.write("engines.md", report(cells, options.command, where))
    machine.write(
        results.name,
        json.dumps({"command": options.command, "machine": where, "cells": [asdict(cell) for cell in cells]}, indent=1),
    )
    plot(cells, machine.RESULTS / "engines.png")
    print(report(cells, options.command, where))


def parse() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=["base", "small"], help="shapes")
    parser.add_argument("--windows", nargs="+", type=int, default=[10], help="seconds of audio, at least 5, at most 30")
    parser.add_argument("--tokens", type=int, default=25, help="tokens of the text, its two timestamps among them")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine")
    parser.add_argument("--threads", type=int, default=1, help="threads of each engine")
    given = parser.parse_args()
    if not all(5 <= window <= 30 for window in given.windows):
        parser.error(f"windows must be in 5..30 s, got {given.windows}")
    return Options(tuple(given.models), tuple(given.windows), given.tokens, given.rounds, given.threads)


def measure(model: str, options: Options, folder: Path) -> list[Cell]:
    """Measure one shape."""
    vocabulary = Vocabulary.from_pretrained(demo_folder())
    script = Script.of(vocabulary, options.tokens)
    folders, obstacle = write_layouts(model, script, folder)
    end = end_of(script, vocabulary)
    audio = speech.speak(max(options.windows) + 1, seed=0).samples
    cells: list[Cell] = []
    with ExitStack() as stack:
        engines: list[EngineProcess] = []
        for contestant in CONTESTANTS:
            print(f"{model}: {contestant.name}, {contestant.table} …", flush=True)
            engine = stack.enter_context(EngineProcess(contestant, folders, options.threads))
            reason = obstacle if obstacle and "CTranslate2" in engine.obstacle else engine.obstacle
            if engine.obstacle:
                cells += [_cell(model, window, contestant, None, reason) for window in options.windows]
            else:
                engines.append(engine)
        for window in options.windows:
            heard = audio[: window * SAMPLE_RATE]
            cells += compete(model, engines, Work(heard, script.tokens, end), script.text, options.rounds)
    return cells


def write_layouts(model: str, script: Script, folder: Path) -> tuple[Folders, str]:
    """Write the checkpoint in all layouts; return where, and why there is none for CTranslate2, if so."""
    folders = Folders(folder / "ours", folder / "ctranslate2", folder / "ggml.bin")
    network = write_checkpoint(SHAPES[model], script, folders.ours)
    write_ggml(network, folders.ours / "tokenizer.json", folders.ggml)
    del network
    gc.collect()
    try:
        from ctranslate2.converters import TransformersConverter  # noqa: PLC0415  # only where it is installed
    except ImportError as error:
        return folders, f"no layout for CTranslate2: {error}"
    files = ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]
    TransformersConverter(str(folders.ours), copy_files=files).convert(str(folders.ctranslate2))
    return folders, ""


def compete(model: str, engines: list[EngineProcess], work: Work, text: str, rounds: int) -> list[Cell]:
    """Let the engines take turns; the first one of each is not counted. All must say `text`."""
    window = len(work.audio) // SAMPLE_RATE
    best: dict[tuple[int, float | None], Cell] = {}
    for number in range(rounds + 1):
        print(f"{model}, {window} s: round {number} of {rounds}", flush=True)
        order = range(len(engines)) if number % 2 else range(len(engines) - 1, -1, -1)
        for index in order:
            engine = engines[index]
            for acceptance in engine.contestant.acceptances:
                turn = engine.turn(replace(work, acceptance=acceptance))
                if turn.text != text.strip():
                    raise RuntimeError(f"{engine.contestant.name} must say {text!r}, said {turn.text!r}")
                key = index, acceptance
                if number and (key not in best or turn.seconds < (best[key].seconds or 0.0)):
                    cell = _cell(model, window, engine.contestant, acceptance, "")
                    best[key] = cell.measured(turn.seconds, turn.passes, turn.accepted)
    return [with_whole_updates(cell, list(best.values())) for cell in best.values()]


def with_whole_updates(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Return what an update costs on average: with reuse, one in so many is as dear as without."""
    if not cell.reuse or cell.seconds is None:
        return cell
    alike = (cell.model, cell.window, cell.context, cell.acceptance)
    whole = next(
        c.seconds
        for c in cells
        if (c.model, c.window, c.context, c.acceptance) == alike and c.name == OURS and c.seconds is not None
    )
    return replace(cell, seconds=mean_update(cell.seconds, whole))


def _cell(model: str, window: int, contestant: Contestant, acceptance: float | None, reason: str) -> Cell:
    table, context = str(contestant.table), contestant.context
    return Cell(model, window, table, contestant.name, context, acceptance, reason, reuse=contestant.reuse)


if __name__ == "__main__":
    main()
