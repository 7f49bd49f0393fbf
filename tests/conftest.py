"""What holds for every test."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared, so no example has a deadline; in CI examples are the same in every run.
settings.register_profile("streamer", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("streamer")


def pytest_collection(session: pytest.Session) -> None:
    """Let each of several processes import its share of the tests first.

    All of them need all files, and in a fresh clone pytest has to rewrite their asserts, a third of what collecting
    takes; what one has rewritten the others find.
    """
    process = getattr(session.config, "workerinput", None)
    if process is None or session.config.args_source != pytest.Config.ArgsSource.TESTPATHS:
        return
    place, count = int(process["workerid"].removeprefix("gw")), process["workercount"]
    root = session.config.rootpath
    for path in sorted(Path(__file__).parent.rglob("test_*.py"))[place::count]:
        # What cannot be imported is said when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Leave what is imported by now, millions of objects that stay, out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def patient_journal():
    """Let a busy machine's disk take its time: what is tested of a journal does not hang on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamer.journal.journal.PATIENCE_S", 30.0)
        yield
