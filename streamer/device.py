"""The one thread that the recognizer runs on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Device(Protocol):
    """Where the recognizer's work is done, one call after another."""

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what the function returns, or raise what it raises."""
        ...

    def stop(self) -> None:
        """Take no more calls."""
        ...


class DeviceThread:
    """Runs calls one after another, off the event loop.

    Not a ThreadPoolExecutor: Python waits for an executor's threads when it exits, and a call that hangs in a driver
    would keep a stopped daemon alive for ever. The queue holds what the engine awaits: one call.
    """

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what the function returns, or raise what it raises. If cancelled, the call still runs to its end."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(value: Result | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(value)  # type: ignore[arg-type]  # None only where Result is None
            else:
                answer.set_exception(error)

        def call() -> None:
            value, failure = None, None
            try:
                value = function(*arguments)
            except BaseException as error:  # noqa: BLE001  # it belongs to whoever awaits the answer
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, value, failure)

        self._calls.put(call)
        return await answer

    def stop(self) -> None:
        """Let the thread end after the call it is at; not waited for."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
