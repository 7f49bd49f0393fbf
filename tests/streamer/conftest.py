"""What several of these tests need."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from streamer.recognition.interval import IntervalLadder
from streamer.recognition.pace import Pace
from tests.streamer.harness import GatedRecognizer


@pytest.fixture
def machine_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no update out and make none later, however busy the machine is: what a model says depends on them."""
    monkeypatch.setattr(Pace, "is_overdue", lambda *_: False)
    monkeypatch.setattr(IntervalLadder, "observe", lambda *_: None)


@pytest.fixture
def kernel_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the daemon to cut off who does not read.

    TCP_USER_TIMEOUT, twice the time that a send may take, comes second as long as the daemon wakes up in time; on a
    machine that is busy, with the short times of a test, it does not, and the kernel may be first.
    """
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)


@pytest.fixture
def gated() -> Iterator[GatedRecognizer]:
    """A recognizer that is let go at the end, so that its thread ends whatever happened."""
    recognizer = GatedRecognizer()
    yield recognizer
    recognizer.gate.set()
