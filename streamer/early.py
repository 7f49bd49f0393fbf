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


def hold_hangups() -> None:
    """Have SIGHUP wait, with the kernel, until the settings are read: they say what it means."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


@contextmanager
def heeding_hangups(*, reloads: bool) -> Generator[None]:
    """Let SIGHUP, also one that waits, end the process, as when its terminal goes.

    Where it asks to read the certificate again (`reloads`), nothing happens: that is about to be read.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) if reloads else None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        if reloads:
            signal.signal(signal.SIGHUP, before)


def end(number: int, frame: FrameType | None) -> None:
    """End the process."""
    del number, frame
    os._exit(0)
