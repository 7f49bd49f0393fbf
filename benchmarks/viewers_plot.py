"""Draw what viewers do to a speaker's lag."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt

from benchmarks.delays import percentile
from benchmarks.plot import draw_distribution


def plot_viewers(unwatched: list[float], watched: list[float], viewers: int, path: Path) -> None:
    """Draw the distribution of the lag, in seconds, with and without viewers."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for values, label in ((unwatched, "unwatched"), (watched, f"{viewers} viewers")):
        draw_distribution(axes, values, f"{label} (p50 {percentile(values, 50):.3f} s)")
    axes.set(xlabel="lag of the speaker, seconds", ylabel="share of messages", ylim=(0, 1))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
