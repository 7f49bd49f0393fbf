"""How a process that has an event loop is told to end, and how it says what ended it. Before: `early.py`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress


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
def handled(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Generator[None]:
    """Call handlers for their signals; on Windows, whose loops have none, signals do what they do."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in handlers:
                loop.remove_signal_handler(number)


@contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None] | None = None) -> Generator[None]:
    """Call `stop` for every SIGTERM and SIGINT, `reload` for SIGHUP; without it a terminal that goes ends us."""
    with handled({signal.SIGTERM: stop, signal.SIGINT: stop} | ({signal.SIGHUP: reload} if reload else {})):
        yield
