"""Draw what updates cost on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from benchmarks.gpu import Results


def plot_gpu(results: Sequence[Results], path: Path) -> None:
    """Draw the cost of an update by how many are made together, and what it consists of for one stream."""
    figure, axes = plt.subplots(2, len(results), figsize=(4.2 * len(results), 6.4), layout="constrained", squeeze=False)
    for column, one in enumerate(results):
        above, below = axes[:, column]
        kinds = list(dict.fromkeys((seconds, draft) for _, seconds, draft in one.crowds))
        for seconds, draft in kinds:
            found = {n: u for (n, s, d), u in one.crowds.items() if (s, d) == (seconds, draft)}
            label = f"{seconds:g} s, {'no draft' if draft is None else f'{draft:.0%} right'}"
            above.plot(list(found), [u.seconds * 1000 / n for n, u in found.items()], marker=".", label=label)
        above.set(title=one.shape.name, xlabel="updates together", ylabel="ms per update", xscale="log", yscale="log")
        above.grid(alpha=0.3)
        above.legend(fontsize=7)
        _draw_parts(below, one)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_parts(axes: Axes, one: Results) -> None:
    """Draw bars of what an update of one stream is made of."""
    names = [f"{s:g} s\n{'none' if d is None else f'{d:g}'}" for s, d in one.turnaround]
    base = [0.0] * len(names)
    for part, label in (("features_and_encoder", "features, encoder"), ("decoder", "decoder"), ("alignment", "words")):
        values = [1000 * float(getattr(update, part)) for update in one.turnaround.values()]
        axes.bar(range(len(names)), values, bottom=base, label=label)
        base = [low + value for low, value in zip(base, values, strict=True)]
    axes.set_xticks(range(len(names)), names, fontsize=6)
    axes.set(ylabel="ms, one stream alone", xlabel="audio, share of the draft that is right")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=7)
