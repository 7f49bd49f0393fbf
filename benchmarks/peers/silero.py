"""The voice activity detector that two peers download when they start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import patch

import torch

from benchmarks.peers.absent import loading


@contextmanager
def silero(name: str) -> Iterator[None]:
    """Give torch.hub.load's callers the model of the silero-vad package, the one that they would download.

    Raises NotMeasured in the peer's name if the package is missing.
    """
    threads = torch.get_num_threads()
    with loading(name):
        package = import_module("silero_vad")
    torch.set_num_threads(threads)  # the package sets it when it is imported
    with patch.object(torch.hub, "load", lambda **_: (package.load_silero_vad(), None)):
        yield
