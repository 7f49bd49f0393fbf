"""Signals to a daemon that has no event loop yet, and nothing that would have to be put in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Let SIGTERM and SIGINT end the process at once, as asked: with 0 and without a word.

    An exception would do for neither: an import may catch it, or leave half a module behind. The event loop's handlers
    take the place of these (`signals.py`), as soon as there is one.
    """
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(number: int, frame: FrameType | None) -> None:
    """End the process."""
    del number, frame
    os._exit(0)
