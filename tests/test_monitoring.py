"""The alert rules and the dashboard that go with the metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "systemd" / "monitoring"
PROCESS = {"process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
"""Of prometheus-client's own collector."""


@pytest.fixture
def promtool():
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is missing (Debian and Ubuntu: apt install prometheus)")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([tool, *arguments], cwd=FOLDER, text=True, capture_output=True, check=False)

    return run


def expressions() -> Iterator[str]:
    """Every query of the dashboard, and the rules as they are."""
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    yield (FOLDER / "alerts.yml").read_text()
    yield (FOLDER / "alerts.test.yml").read_text()


def known() -> set[str]:
    """Every metric that the daemon registers."""
    return PROCESS | {
        name
        for path in (ROOT / "streamer").rglob("*.py")
        for name in re.findall(r'"(streamer_[a-z_]+)"', path.read_text())
    }


def test_the_rules_are_valid_and_go_off_when_they_should(promtool):
    checked = promtool("check", "rules", "alerts.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    tested = promtool("test", "rules", "alerts.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_rules_and_dashboard_ask_for_metrics_that_exist():
    asked = {name for text in expressions() for name in re.findall(r"\b(?:streamer|process)_[a-z_]+\b", text)}
    bare = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}

    assert "streamer_commit_lag_seconds" in bare
    assert bare - known() == set()


def test_each_panel_of_the_dashboard_has_a_place_of_its_own():
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
