"""Draw the results."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.delays import Delays, percentile
from benchmarks.drafts import DraftReport


def plot_latency(delays: Delays, drafts: DraftReport, path: Path) -> None:
    """Draw the distribution of the delays beside the decoder passes of an update."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(3, 1), layout="constrained")
    for values, label in (
        (delays.shown, "word first shown"),
        (delays.committed, "word committed"),
        (delays.final, "utterance final"),
    ):
        draw_distribution(left, values, f"{label} (p50 {percentile(values, 50):.2f} s)")
    left.set(xlabel="seconds after the end of the word", ylabel="share of words, of utterances", ylim=(0, 1))
    left.set_xlim(left=min(0.0, percentile(delays.shown, 1)), right=percentile([*delays.committed, *delays.final], 99))
    left.grid(alpha=0.3)
    left.legend(loc="upper left")
    bars = right.bar(["without draft", "with draft"], [drafts.passes_plain, drafts.passes], color=["0.7", "C0"])
    right.bar_label(bars, fmt="%.1f")
    right.set(ylabel="decoder passes per update")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_distribution(axes: Axes, values: list[float], label: str) -> None:
    """Draw the share of values that are at most x, as steps."""
    ordered = sorted(values)
    axes.step(ordered, [(index + 1) / len(ordered) for index in range(len(ordered))], where="post", label=label)


def plot_bars(values: dict[str, float], title: str, path: Path) -> None:
    """Draw one bar for each name."""
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.5 * len(values)), layout="constrained")
    bars = axes.barh(list(values), list(values.values()), color=["C0", *["0.7"] * (len(values) - 1)])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
