"""Train the demo model from recordings and synthesised voices: `python -m model.demo.train`.

Two processes of one thread each share the work and average their gradients: on small matrices that is faster than two
threads. Everything lies in one working folder: the clip bank, a log, and a checkpoint from which a run resumes.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from model.demo.bank import read_bank, write_bank
from model.demo.batches import Batches
from model.demo.export import contracted
from model.demo.losses import Measures, Weights, measure
from model.demo.network import DemoNetwork, see
from model.demo.voices import recorded_clips, synthetic_clips
from model.quantization import has_tiles

DEFAULT_DATA = Path(__file__).parents[3] / "shared" / "data" / "fsdd"
TRAINING_TAKES = range(5, 50)
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
"""What lets glibc keep the memory of a step for the next one; to be given pages anew takes a fifth of a step's time."""


@dataclass(frozen=True)
class Settings:
    """One training run."""

    data: Path
    """Folder of the Free Spoken Digit Dataset's wave files."""
    work: Path
    """Clip bank, checkpoint and log."""
    steps: int = 10_200
    rate: float = 1.2e-3
    """Highest learning rate (AdamW)."""
    seconds: float = 36.0
    """Audio per step and process."""
    decay: float = 0.25
    """Share of the course at its end over which the learning rate falls to nothing."""
    processes: int = 2
    seed: int = 2026
    without: tuple[str, ...] = ()
    """Speakers left out."""
    start: Path | None = None
    """Folder of an exported model to go on from, instead of from random weights."""
    first: int = 0
    """Step of the course at which the run begins; more than 0 only after an exported model."""


def learning_rate(settings: Settings, step: int) -> float:
    """Warm up over 100 steps, stay, fall linearly at the end."""
    progress = step / settings.steps
    return settings.rate * min(1.0, (step - settings.first + 1) / 100, max(0.003, (1 - progress) / settings.decay))


def make_bank(settings: Settings) -> Path:
    """Make the clip bank unless it is there; about a minute."""
    folder = settings.work / "bank"
    if not (folder / "table.npz").exists():
        rng = np.random.default_rng(settings.seed)
        print("making the clip bank", flush=True)
        recorded = recorded_clips(settings.data, TRAINING_TAKES, 14, rng)
        write_bank(itertools.chain(recorded, synthetic_clips(rng, espeak_voices=400, flite_rounds=24)), folder)
    return folder


def _has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16; where it does not, a step takes seven times as long in it."""
    return has_tiles() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001  # no public way to ask


def _share_gradients(network: nn.Module, processes: int) -> None:
    """Average gradients over the processes."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= processes
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _save(settings: Settings, step: int, network: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the checkpoint so that a crash leaves the old or the new one."""
    path = settings.work / "checkpoint.pt"
    state: dict[str, object] = {"step": step, "network": network.state_dict(), "mean": mean.state_dict()}
    state["optimizer"] = optimizer.state_dict()
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


class Trainer:
    """One process of the run."""

    def __init__(self, settings: Settings, rank: int) -> None:
        """Start afresh or from the checkpoint in the working folder."""
        self.settings, self.rank = settings, rank
        torch.manual_seed(settings.seed)
        self.narrow = _has_bfloat16()
        self.network = DemoNetwork()
        if settings.start is not None:
            self.network.whisper.load_state_dict(contracted(load_file(settings.start / "model.safetensors")))
            self.network.deafen()
        self.mean = copy.deepcopy(self.network)
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.step = settings.first
        path = settings.work / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimizer.load_state_dict(state["optimizer"])
        bank = read_bank(settings.work / "bank", settings.without)
        self.batches = Batches(bank, (settings.seed, rank, self.step), settings.seconds)

    def advance(self) -> Measures:
        """Make one step."""
        progress = self.step / self.settings.steps
        features, wanted = self.batches.draw(progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.narrow):
            seen = see(self.network, features, wanted.tokens, wanted.positions, wanted.offsets)
        measures = measure(seen, wanted, Weights())
        self.optimizer.zero_grad()
        measures.loss.backward()  # type: ignore[no-untyped-call]
        _share_gradients(self.network, self.settings.processes)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        self.optimizer.step()
        self.network.hold()
        self.step += 1
        kept = min(0.998, 1 - 10 / (self.step + 10))
        with torch.no_grad():
            for average, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                average.lerp_(now, 1 - kept)
        return measures

    def run(self) -> None:
        """Train to the end; process 0 reports and saves."""
        recent: list[Measures] = []
        started = time.monotonic()
        first = self.step
        while self.step < self.settings.steps:
            recent.append(self.advance())
            if self.rank == 0 and self.step % 50 == 0:
                pace = (time.monotonic() - started) / (self.step - first)
                print(report(self.step, self.settings.steps, recent, pace), flush=True)
                recent = []
            if self.rank == 0 and (self.step % 250 == 0 or self.step == self.settings.steps):
                _save(self.settings, self.step, self.network, self.mean, self.optimizer)


def report(step: int, steps: int, recent: list[Measures], pace: float) -> str:
    """One line of progress."""
    loss = sum(one.loss.item() for one in recent) / len(recent)
    words = [one.words for one in recent if not math.isnan(one.words)]
    times = [one.times for one in recent if not math.isnan(one.times)]
    text = sum(one.text for one in recent) / len(recent)
    left = (steps - step) * pace / 60
    return (
        f"{step:6d}/{steps} loss {loss:.3f} text {text:.3f} words {sum(words) / len(words):.3f} "
        f"times {sum(times) / len(times) * 1000:.0f} ms  {pace * 1000:.0f} ms/step  {left:.0f} min left"
    )


def _work(rank: int, settings: Settings) -> None:
    """Body of one process."""
    torch.set_num_threads(1)
    rendezvous = f"file://{settings.work.resolve()}/rendezvous"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=settings.processes)
    Trainer(settings, rank).run()
    distributed.destroy_process_group()


def train(settings: Settings) -> None:
    """Run, or resume, one training run."""
    settings.work.mkdir(parents=True, exist_ok=True)
    make_bank(settings)
    (settings.work / "rendezvous").unlink(missing_ok=True)
    for name, value in KEPT_MEMORY.items():
        os.environ.setdefault(name, value)
    spawn(_work, (settings,), nprocs=settings.processes)  # type: ignore[no-untyped-call]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the digit recordings")
    parser.add_argument("--work", type=Path, default=Path("runs/demo"), help="bank, checkpoint, log")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--rate", type=float, default=Settings.rate, help="highest learning rate")
    parser.add_argument("--processes", type=int, default=Settings.processes)
    parser.add_argument("--without", nargs="*", default=[], help="speakers to leave out")
    parser.add_argument("--start", type=Path, help="folder of an exported model to go on from")
    parser.add_argument("--first", type=int, default=0, help="step of the course at which that begins")
    given = parser.parse_args()
    settings = Settings(given.data, given.work, given.steps, given.rate, processes=given.processes)
    train(replace(settings, without=tuple(given.without), start=given.start, first=given.first))


if __name__ == "__main__":
    main()
