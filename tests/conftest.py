"""What holds for every test."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

# Machines are shared, so no example has a deadline; in CI examples are the same in every run.
settings.register_profile("streamer", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("streamer")


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
