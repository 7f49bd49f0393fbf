"""Hours of streams: how many words each commit policy loses or doubles, and how late it is.

    python -m benchmarks.hours [--seeds 1 2 3 4] [--minutes 30] [--processes 2] [--model demo]

Lost and doubled words are so few that half an hour says little of them. So the streams of `streaming.py`, without its
peers, are made anew with each seed, and heard with our defaults and with each policy at updates of 0.35 s. Every word
that is lost or doubled is named, with the stream it is in. Virtual time and figures are those of `streaming.py`.

Writes hours.md, hours.png and hours.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import machine, speech
from benchmarks.contestants import Ours, ours
from benchmarks.figures import Figures
from benchmarks.heat import Result
from benchmarks.plot import plot_mishaps
from benchmarks.streaming import Options, compare, spelt
from benchmarks.streaming_table import Entry, entries, raw


@dataclass(frozen=True, slots=True)
class Mishap:
    """A word that was lost or doubled."""

    system: str
    kind: str
    word: str
    """With the second at which it was said."""
    stream: str
    seed: int


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Words lost and doubled in hours of streams.")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3, 4), help="one set of streams for each")
    parser.add_argument("--minutes", type=float, default=30, help="audio for each seed")
    parser.add_argument("--processes", type=int, default=2, help="streams heard at the same time; one core each")
    parser.add_argument("--model", default="demo")
    given = parser.parse_args()
    where = machine.describe()
    command = (
        f"python -m benchmarks.hours --seeds {' '.join(map(str, given.seeds))} --minutes {given.minutes:g} "
        f"--processes {given.processes} --model {spelt(given.model)}"
    )
    found = entries(list(hear(given.seeds, given.minutes, given.processes, given.model)))
    table = describe(command, where, found)
    machine.write("hours.md", table)
    figures = {"machine": where, "command": command, "systems": [raw(entry) for entry in found]}
    machine.write("hours.json", json.dumps(figures, indent=1) + "\n")
    counts = {one.name: (one.all.lost, one.all.doubled) for one in found if one.all is not None}
    plot_mishaps(counts, machine.RESULTS / "hours.png")
    print(table)


def policies(model: str) -> list[Ours]:
    """Return our defaults and each policy, those that hear all of the audio and use positions again."""
    return [one for one in ours(model) if one.share == 1 and one.variant.reuse]


def hear(seeds: Sequence[int], minutes: float, processes: int, model: str) -> Iterator[Result]:
    """Let every policy hear the streams of every seed."""
    for seed in seeds:
        print(f"seed {seed}", flush=True)
        yield from compare(Options(minutes, processes, model, seed, peers=1), [*policies(model)])


def mishaps(found: Sequence[Entry]) -> Iterator[Mishap]:
    """Yield each word that was lost or doubled."""
    for entry in found:
        for outcome in entry.outcomes:
            for kind, words in (("lost", outcome.lost), ("doubled", outcome.doubled)):
                for word in words:
                    yield Mishap(entry.name, kind, word, outcome.condition.name, outcome.condition.seed)


def describe(command: str, where: str, found: Sequence[Entry]) -> str:
    """Write the report."""
    rows = "\n".join(f"| {one.name} | {_row(one.all, one.continuous)} |" for one in found if one.all is not None)
    named = [f"- {m.system}: {m.kind} {m.word} of {m.stream} (stream seed {m.seed})." for m in mishaps(found)]
    return f"""# Hours of streams

`{command}`

Speech: {speech.source()}, half continuous, half short phrases, a third each without noise, with pink noise at 20 dB \
and at 10 dB. Machine: {where}. Virtual time, as in [streaming](streaming.md); delays are seconds from the true end of \
the word, p50 and p95, with the cost of the work. Words are lost or doubled beside the offline text of the same \
weights, as `benchmarks/outcome.py` defines.

![words lost and doubled](hours.png)

| system | hours | word error rate | beside offline | rewritten | lost | doubled | word committed | continuous speech |
|---|---|---|---|---|---|---|---|---|
{rows}

{chr(10).join(named) or "No word was lost or doubled."}
"""


def _row(whole: Figures, continuous: Figures | None) -> str:
    hours = whole.minutes / 60
    return " | ".join(
        (
            f"{hours:.1f}",
            f"{whole.error_rate.value:.1%} ({whole.errors}/{whole.spoken})",
            f"{whole.excess.value:+.1%}",
            str(whole.rewrites),
            f"{whole.lost * hours:.0f}",
            f"{whole.doubled * hours:.0f}",
            _delay(whole),
            "–" if continuous is None else _delay(continuous),
        )
    )


def _delay(figures: Figures) -> str:
    return "none" if figures.committed is None else ", ".join(f"{value:.2f}" for value in figures.committed.aware[:2])


if __name__ == "__main__":
    main()
