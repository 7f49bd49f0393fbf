"""Say in words what a figure was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
"""Where tables, plots and raw figures go."""


def describe(gpu: str = "no GPU used") -> str:
    """One sentence: cores, other work on them, versions, commit, date; gpu: what is to be said of one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    shared = "shared with other work" if load > 1 else "otherwise idle"
    return (
        f"{cores} {platform.machine()} cores, {shared} (load {load:.1f} at the start), {gpu}; "
        f"Python {platform.python_version()}, torch {version('torch')}; {commit()}; {datetime.now(UTC):%Y-%m-%d}"
    )


def commit() -> str:
    """Say which commit this is, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no commit known"
    return f"commit {found.stdout.strip()}"


def write(name: str, text: str) -> Path:
    """Write a result file and return its place."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(text)
    return path
