"""What several of these tests need."""

from __future__ import annotations

import pytest

from streamer.decoding.decoder import Decoder
from tests.streamer.decoding.threads import start_thread


@pytest.fixture(autouse=True)
def decoders_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each server here the start of processes, which `tests/streamer/decoding` is about."""
    monkeypatch.setattr(Decoder, "start", start_thread)
