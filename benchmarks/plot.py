"""Draw the results."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.delays import Delays, percentile
from benchmarks.figures import Interval


def plot_latency(delays: Delays, path: Path) -> None:
    """Draw the distribution of the delays."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for values, label in (
        (delays.shown, "word first shown"),
        (delays.committed, "word committed"),
        (delays.final, "utterance final"),
    ):
        draw_distribution(axes, values, f"{label} (p50 {percentile(values, 50):.2f} s)")
    axes.set(xlabel="seconds after the end of the word", ylabel="share of words, of utterances", ylim=(0, 1))
    axes.set_xlim(left=min(0.0, percentile(delays.shown, 1)), right=percentile([*delays.committed, *delays.final], 99))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def plot_passes(passes: dict[str, dict[str, float]], path: Path) -> None:
    """Draw decoder passes per update: one panel for each kind of speech, one bar for each way of decoding."""
    figure, panels = plt.subplots(1, len(passes), figsize=(5 * len(passes), 3), layout="constrained", squeeze=False)
    for axes, (title, values) in zip(panels[0], passes.items(), strict=True):
        bars = axes.barh(list(values), list(values.values()), color=[*["0.7"] * (len(values) - 1), "C0"])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="decoder passes per update")
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


def plot_mishaps(counts: dict[str, tuple[float, float]], path: Path) -> None:
    """Draw words lost and words doubled an hour, two bars for each name."""
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.6 * len(counts)), layout="constrained")
    for shift, label, which in ((-0.2, "lost", 0), (0.2, "doubled", 1)):
        values = [pair[which] for pair in counts.values()]
        bars = axes.barh([place + shift for place in range(len(counts))], values, height=0.35, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.invert_yaxis()
    axes.set(xlabel="words an hour")
    axes.set_xlim(0, max(1.0, 1.2 * max((max(pair) for pair in counts.values()), default=0.0)))
    axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def plot_tradeoff(points: dict[str, tuple[float, Interval]], path: Path) -> None:
    """Draw delay against error rate, one point for each system, with the interval of the error rate."""
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    markers = "osD^vP*X<>hp"
    for number, (name, (delay, rate)) in enumerate(points.items()):
        spread = [[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]]
        axes.errorbar(
            delay, 100 * rate.value, yerr=spread, fmt=markers[number % len(markers)], capsize=3, label=name, alpha=0.8
        )
    axes.set(xlabel="commit delay, median, seconds after the end of the word", ylabel="word error rate, %")
    axes.set_xlim(left=0)
    axes.set_yscale("log")  # a system that loops has more errors than words
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
