"""Tables and plot of the comparison of engines: ratios of one run, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmarks.engines_contestants import GATED, Kind, Table, versions
from model.decoding.parts import REFRESH

OURS = f"{Kind.OURS} int8"
REFERENCES = {Table.USERS: f"{Kind.FASTER_WHISPER} int8", Table.SAME: f"{Kind.CTRANSLATE2} int8"}
"""What the costs of each table are shares of."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The least cost of one engine for one update."""

    model: str
    window: int
    table: str
    name: str
    context: str
    acceptance: float | None
    reason: str = ""
    """Why it was not measured."""
    seconds: float | None = None
    passes: int = 0
    accepted: float = 0.0
    reuse: bool = False

    def measured(self, seconds: float, passes: int, accepted: float) -> Self:
        """Return it with what was measured."""
        return replace(self, seconds=seconds, passes=passes, accepted=accepted)


def report(cells: Sequence[Cell], command: str, where: str) -> str:
    """Write everything."""
    return f"""# One streaming update beside other engines

`{command}`

Random weights of released shapes that are made to say a given text, so that every engine does the same number of \
steps by its own rules and its own defaults apply (its fallbacks are not set off). Real speech as audio. A cost is the \
least processor time of all rounds; only ratios of this run count. Versions: {versions()}. Machine: {where}.

"right" is the share of the text's tokens that the draft has right; half of the others are missing at its end, half \
are wrong and spread; "passes" are decoder passes. Our time holds features, words with times and guards.

## As users get it

Share of the cost of {REFERENCES[Table.USERS]} with its defaults: 30 s, beams of 5. Our row on 10 s of context is with \
`--model.encoder-context dynamic`, for weights that bear it; ours on 30 s is the default for released weights. "reuse" \
is `--model.encoder-reuse on`, for weights that bear that: the cost is the mean of {REFRESH} updates, of which one \
encodes all positions.

{_table(cells, Table.USERS)}

## Same work

Share of the cost of {REFERENCES[Table.SAME]}: the same context, greedy, the same text. CTranslate2 is \
faster-whisper's engine, called without its window of 30 s.

{_table(cells, Table.SAME)}

## Our int8 update, as share of others' cost

"Same work" is what the others did. With reuse ours is less: that is what it is for.

{_gates(cells)}

![Engines](engines.png)
"""  # noqa: S608  # "select" is no word of a query here


def _table(cells: Sequence[Cell], table: Table) -> str:
    """Write one table: a row for each engine and draft, a column for each shape and window."""
    columns = list(dict.fromkeys((cell.model, cell.window) for cell in cells))
    rows = [cell for cell in cells if cell.table == table or (table is Table.USERS and cell.name == OURS)]
    keys = list(dict.fromkeys((cell.name, cell.context, cell.acceptance) for cell in rows))
    head = "| engine | context | right | passes | " + " | ".join(f"{m}, {w} s" for m, w in columns) + " |"
    lines = [head, "|---|---|---|---|" + "---|" * len(columns)]
    for name, context, acceptance in sorted(keys, key=_order):
        here = {
            (c.model, c.window): c for c in rows if (c.name, c.context, c.acceptance) == (name, context, acceptance)
        }
        passes = next((c.passes for c in here.values() if c.passes), None)
        right = "–" if acceptance is None else f"{acceptance:g}"
        values = " | ".join(_share(cells, here.get(column), table) for column in columns)
        seconds = "30 s" if context == "full" else "the window"
        lines.append(f"| {name} | {seconds} | {right} | {passes or '–'} | {values} |")
    return "\n".join(lines)


def _order(key: tuple[str, str, float | None]) -> tuple[bool, str, str, float]:
    name, context, acceptance = key
    return not name.startswith(Kind.OURS), name, context, -1.0 if acceptance is None else acceptance


def _share(cells: Sequence[Cell], cell: Cell | None, table: Table) -> str:
    """Write a cost as share of the table's reference for the same shape and window."""
    if cell is None:
        return "–"
    if cell.seconds is None:
        return f"not measured: {cell.reason}"
    base = find(cells, cell.model, cell.window, table, REFERENCES[table])
    return "no reference" if base is None else f"{cell.seconds / base:.2f}"


def find(cells: Sequence[Cell], model: str, window: int, table: Table, name: str) -> float | None:
    """Return the cost of another engine; None if it was not measured."""
    return next(
        (c.seconds for c in cells if (c.model, c.window, c.table, c.name) == (model, window, str(table), name)), None
    )


def _gates(cells: Sequence[Cell]) -> str:
    """Write how our int8 update on the window's context stands to the three that matter."""
    others = (
        (Table.USERS, REFERENCES[Table.USERS]),
        (Table.SAME, REFERENCES[Table.SAME]),
        (Table.SAME, f"{Kind.WHISPER_CPP} q8_0"),
    )
    lines = [
        "| shape | window | ours | context | right | " + " | ".join(f"{name}, {table}" for table, name in others) + " |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for cell in cells:
        ours = (cell.name == OURS and cell.table == Table.SAME) or cell.reuse
        if not ours or cell.acceptance not in GATED or cell.seconds is None:
            continue
        costs = [find(cells, cell.model, cell.window, table, name) for table, name in others]
        shares = " | ".join("not measured" if cost is None else _ratio(cell.seconds, cost) for cost in costs)
        seen = "30 s" if cell.context == "full" else "the window"
        lines.append(f"| {cell.model} | {cell.window} s | {cell.name} | {seen} | {cell.acceptance:g} | {shares} |")
    return "\n".join(lines)


def _ratio(own: float, other: float) -> str:
    return f"{own / other:.2f} (1/{other / own:.1f})"


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Draw the first window's costs as multiples of our int8 update with nine tenths of its draft right."""
    import matplotlib as mpl  # noqa: PLC0415  # only here

    mpl.use("Agg")  # no display needed
    from matplotlib import pyplot as plt  # noqa: PLC0415  # after the choice of a backend

    models = list(dict.fromkeys(cell.model for cell in cells))
    figure, panels = plt.subplots(1, len(models), figsize=(6.5 * len(models), 5), layout="constrained", squeeze=False)
    for axes, model in zip(panels[0], models, strict=True):
        window = next(cell.window for cell in cells if cell.model == model)
        own = [c for c in cells if (c.model, c.window) == (model, window) and c.seconds is not None]
        base = next((c.seconds for c in own if c.name == OURS and c.table == Table.SAME and c.acceptance == 0.9), None)
        if not base:
            continue
        shown = sorted(own, key=lambda cell: cell.seconds or 0.0)
        bars = axes.barh(
            [_label(cell) for cell in shown],
            [(cell.seconds or 0.0) / base for cell in shown],
            color=["C0" if cell.name.startswith(Kind.OURS) else "0.7" for cell in shown],
        )
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.invert_yaxis()
        axes.set(xscale="log", title=f"{model}, {window} s", xlabel="cost; 1 = ours in int8, 0.9 of the draft right")
        axes.margins(x=0.15)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _label(cell: Cell) -> str:
    context = "30 s" if cell.context == "full" else "window"
    draft = "" if cell.acceptance is None else f", {cell.acceptance:g} right"
    return f"{cell.name}, {context}{draft}"
