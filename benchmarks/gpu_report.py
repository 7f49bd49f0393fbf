"""The figures of a GPU as tables, beside what the device could do at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.gpu_measure import CELLS, TEXT, TOKENS, Update
from benchmarks.roofline import Device, device_of, encoder_flops, step_bytes, update_seconds
from model.decoding.encode import frames_with_margin
from model.decoding.parts import REFRESH
from model.types import SAMPLE_RATE

if TYPE_CHECKING:
    from benchmarks.gpu import Results

UPDATES_PER_SECOND = 2
LONGEST_S = 0.25
"""A batch may take that long: nobody waits for more than one of them before its own."""


def describe(results: Sequence[Results], where: str, name: str, arguments: str) -> str:
    """Write all tables. name: of the device, as its driver has it."""
    device = device_of(name)
    roof = (
        f"{device.flops / 1e12:.0f} TFLOP/s and {device.bandwidth / 1e12:.1f} TB/s"
        if device
        else "not known for this device"
    )
    parts = "\n".join(describe_model(one, device) for one in results)
    return f"""# A GPU

`python -m benchmarks.gpu {arguments}`

Machine: {where}. Roofline: {roof}.

Random weights in released shapes; the same work as trained ones, so time is measured and nothing else. Each update has
{TOKENS} new tokens; a draft that has a given share of them right stands for the hypothesis before. Figures are the
least of several, from the call to the last result, launches and transfers included. An update is log-mel and encoder,
decoder, and the alignment of its words; there is no network and no event loop in it.

{parts}
![Cost of an update](gpu.png)
"""


def describe_model(one: Results, device: Device | None) -> str:
    """Write the tables of one model."""
    parts = [
        f"## {one.shape.name}\n",
        _encoder(one, device),
        _steps(one, device),
        _turnaround(one),
        _capacity(one.crowds, one, device),
        f"With 30 s of context, of which an update computes what is near new audio, one in {REFRESH} all:\n",
        _capacity(one.reused, one, device, positions=1500),
        *(f"Not measured: {what}.\n" for what in one.left_out),
    ]
    return "\n".join(parts)


def _encoder(one: Results, device: Device | None) -> str:
    lines = []
    for (rows, positions), found in one.encoder.items():
        flops = rows * encoder_flops(one.shape, positions)
        cells = [f"{seconds * 1000:.2f} ms" for seconds in (found.get("plain"), found.get("compiled")) if seconds]
        cells += ["–"] * (2 - len(cells))
        best = flops / min(found.values())
        share = f"{best / device.flops:.0%}" if device else "–"
        lines.append(f"| {rows} | {positions} | {' | '.join(cells)} | {best / 1e12:.3g} | {share} |")
    head = (
        "| windows | positions | encoder, plain | under torch.compile | TFLOP/s | of the roofline |\n"
        "|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def _steps(one: Results, device: Device | None) -> str:
    lines = []
    for (rows, positions), found in one.steps.items():
        graph, eager = found.get("graph"), found.get("eager")
        least = step_bytes(one.shape, rows, positions, TEXT) / device.bandwidth if device else None
        cells = [f"{seconds * 1e6:.0f} µs" if seconds else "–" for seconds in (graph, eager, least)]
        times = f"{eager / graph:.1f}" if graph and eager else "–"
        lines.append(f"| {rows} | {positions} | {' | '.join(cells)} | {times} |")
    head = (
        f"One token of each row, {TEXT} tokens held in {CELLS} cells:\n\n"
        "| rows | positions | step, graph | eager | roofline | eager ÷ graph |\n|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def _turnaround(one: Results) -> str:
    lines = [
        f"| {seconds:g} s | {_draft(acceptance)} | {update.accepted:.2f} | {update.passes} | {_parts(update)} |"
        for (seconds, acceptance), update in one.turnaround.items()
    ]
    head = (
        "One stream alone:\n\n| audio | draft right | accepted | passes | features and encoder | decoder | alignment "
        "| in all |\n|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def _capacity(
    crowds: Mapping[tuple[int, float, float | None], Update],
    one: Results,
    device: Device | None,
    positions: int | None = None,
) -> str:
    """positions: of the context that the roofline is of; as many as the audio needs if None."""
    lines = []
    for seconds, acceptance in dict.fromkeys((s, a) for _, s, a in crowds):
        found = {n: update for (n, s, a), update in crowds.items() if (s, a) == (seconds, acceptance)}
        streams, together = knee(found)
        heard = positions or min(frames_with_margin(int(seconds * SAMPLE_RATE)) // 2, 1500)
        most = 1 / (UPDATES_PER_SECOND * update_seconds(one.shape, device, heard)) if device else None
        costs = ", ".join(f"{n}: {update.seconds * 1000 / n:.2f}" for n, update in found.items())
        roof = f"{most:.0f}" if most else "–"
        lines.append(f"| {seconds:g} s | {_draft(acceptance)} | {costs} | {together} | {streams:.1f} | {roof} |")
    head = (
        f"Streams at {UPDATES_PER_SECOND} updates a second, in batches that take at most {LONGEST_S:g} s:\n\n"
        "| audio | draft right | ms per update, by streams together | best together | streams | roofline |\n"
        "|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def knee(found: dict[int, Update]) -> tuple[float, int]:
    """Return the most streams that can be served, and how many together; the smallest batch if all take too long."""
    able = {n: update for n, update in found.items() if update.seconds <= LONGEST_S}
    if not able:
        able = {min(found): found[min(found)]}
    together = max(able, key=lambda n: n / able[n].seconds)
    return together / (UPDATES_PER_SECOND * able[together].seconds), together


def _draft(acceptance: float | None) -> str:
    return "none" if acceptance is None else f"{acceptance:.2f}"


def _parts(update: Update) -> str:
    seconds = (update.features_and_encoder, update.decoder, update.alignment, update.seconds)
    return " | ".join(f"{value * 1000:.2f} ms" for value in seconds)
