"""What came of the cases, as a file, as lines for a terminal, and as the table of docs/reliability.md."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.scene import Outcome
from tests.faulty.child import ROOT

RESULTS = ROOT / "benchmarks/results/faults.json"


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
