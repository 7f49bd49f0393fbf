"""What came of the cases, as a file, as lines for a terminal, and as the table of docs/reliability.md."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.scene import Outcome
from tests.faults.table import CASES
from tests.faulty.child import ROOT

RESULTS = ROOT / "benchmarks/results/faults.json"
DOCUMENT = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- what follows is written by `python -m tests.faults.record` -->", "<!-- up to here -->"


def keep(outcome: Outcome, path: Path) -> None:
    """Put an outcome into the file, in the place of an earlier one of the case."""
    kept = {one["id"]: one for one in read(path)} | {outcome.id: asdict(outcome)}
    ordered = sorted(kept.values(), key=lambda one: place(one["id"]))
    path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return what is in the file."""
    return json.loads(path.read_text()) if path.exists() else []


def place(name: str) -> tuple[str, int]:
    """Order A2 before A10."""
    group, number = re.fullmatch(r"([A-Z])(\d+)", name).groups()
    return group, int(number)


def row(outcome: Outcome) -> str:
    """Return a line for a terminal."""
    verdict = "pass" if outcome.passed else "FAIL"
    found = outcome.seen if outcome.passed else f"{outcome.wrong}\n            seen: {outcome.seen}"
    return f"{verdict} {outcome.id:>4} {outcome.seconds:6.1f} s  {found}"


def summary(path: Path) -> str:
    """Return how many passed, of all that were ever run."""
    outcomes = read(path)
    passed = sum(not one["wrong"] for one in outcomes)
    return f"{passed} of {len(outcomes)} cases pass ({path})"


def table(outcomes: list[dict[str, Any]]) -> str:
    """Return the matrix as Markdown."""
    known = {case.id: case for case in CASES}
    run = {one["id"] for one in outcomes}
    passed = [one for one in outcomes if not one["wrong"]]
    less = [one for one in passed if one["less"]]
    elsewhere = [name for name in known if name not in run and name.startswith("F")]
    missing = [name for name in known if name not in run and name not in elsewhere]
    total = len(passed) + len(elsewhere)
    lines = [
        f"**{total} of {len(known)} cases pass**, {len(less)} of them with less than the plan that the cases come from"
        " asks for, which the last column says."
        + (
            f" {len(elsewhere)} of them are those of [microphones](#microphone), as they were seen there."
            if elsewhere
            else ""
        )
        + (f" Not run: {', '.join(missing)}." if missing else ""),
        "",
        "| case | injected | expected | seen | |",
        "|---|---|---|---|---|",
    ]
    here = [{"id": name, "seen": "see [Microphone](#microphone)", "wrong": ""} for name in elsewhere]
    for one in sorted([*outcomes, *here], key=lambda one: place(one["id"])):
        case = known[one["id"]]
        verdict = "pass" if not one["wrong"] else f"**fails**: {one['wrong']}"
        note = f"; {case.less}" if case.less else ""
        cells = (case.id, case.injected, case.expected, one["seen"], verdict + note)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Put the table into docs/reliability.md; with arguments, take outcomes from those files into the results first."""
    for path in sys.argv[1:]:
        for one in read(Path(path)):
            keep(Outcome(**one), RESULTS)
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(read(RESULTS))}\n\n{END}{after}")


if __name__ == "__main__":
    main()
