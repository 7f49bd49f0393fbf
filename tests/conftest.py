"""What holds for every test."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tests.rewriting import rewrite_share

LONG = (
    "test_end_to_end.py", "test_outside_clients.py", "test_clients.py", "model/generation/test_long_form.py",
    "model/test_seed_page.py", "model/test_demo_model.py", "model/test_transcriber.py", "model/decoding/test_ragged.py",
    "model/test_recognizer.py", "browser/test_viewing.py", "browser/test_troubles.py", "browser/test_resuming.py",
    "browser/test_parts.py", "browser/test_speaking.py", "streamer/protocols/test_sdks.py", "test_systemd.py",
    "model/generation/test_demo.py", "streamer/test_crowd.py", "benchmarks/test_engines.py", "benchmarks/test_gpu.py",
)  # fmt: skip
"""Files of few tests that take long. Begun last, one of them would keep one process busy alone."""
AS_LONG_AS = 45
"""Tests of other files that take as long. Begun all at once, long ones would starve one another."""

# Machines are shared, so no example has a deadline; in CI examples are the same in every run.
settings.register_profile("streamer", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("streamer")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Share what pytest has to do to a new checkout."""
    rewrite_share(session.config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long and files of many tests first, for processes take the files as they come."""
    tests = Counter(item.path for item in items)
    for path in (Path(__file__).parent / name for name in LONG):
        assert path.is_file(), f"LONG names {path}, which is gone"
        tests[path] = max(tests[path], AS_LONG_AS)
    items.sort(key=lambda item: (-tests[item.path], item.path))


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
