"""What every test of a command needs."""

from __future__ import annotations

import pytest

from streamer import logs


@pytest.fixture(autouse=True)
def _logging_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands configure logging for their process, and this one is pytest's."""
    monkeypatch.setattr(logs, "configure", lambda _: None)
