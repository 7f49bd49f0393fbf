"""Draw what becomes of a daemon under load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt


def plot_load(
    clients: Sequence[int],
    lags: Mapping[str, Sequence[float]],
    intervals: Sequence[float],
    accepted: Sequence[int],
    path: Path,
) -> None:
    """Draw lag and update interval, and how many streams are served, against the number of clients."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for label, values in lags.items():
        left.plot(clients, values, marker="o", label=f"lag {label}")
    left.plot(clients, intervals, marker="s", linestyle="--", color="0.5", label="update interval, mean")
    left.set(xlabel="clients", ylabel="seconds", ylim=(0, None))
    right.plot(clients, clients, linestyle=":", color="0.5", label="came")
    right.plot(clients, accepted, marker="o", label="served to their end")
    right.set(xlabel="clients", ylabel="streams", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
