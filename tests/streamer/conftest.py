"""What several of these tests need."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def kernel_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the daemon to cut off who does not read.

    TCP_USER_TIMEOUT, twice the time that a send may take, comes second as long as the daemon wakes up in time; on a
    machine that is busy, with the short times of a test, it does not, and the kernel may be first.
    """
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
