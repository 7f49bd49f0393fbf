"""How a process that has an event loop is told to end, and how it says what ended it. Before: `early.py`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def unwrapped() -> Generator[None]:
    """Raise the one exception of a group as itself."""
    try:
        yield
    except ExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


@contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None] | None = None) -> Generator[None]:
    """Call `stop` for every SIGTERM and SIGINT, `reload` for SIGHUP; without it a terminal that goes ends us."""
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop} | ({signal.SIGHUP: reload} if reload else {})
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
