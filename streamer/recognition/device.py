"""Where the recognizer runs: on a thread of this process, or elsewhere, asked from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from model.types import DecodeRequest, Hypothesis, ModelCard

Result = TypeVar("Result")


class DeviceLost(Exception):  # noqa: N818  # what happened, and to the batch no fault of its own, as far as is known
    """Whatever the recognizer ran on ended over a batch; another is on its way, and may be asked at once."""


class RemoteRecognizer(Protocol):
    """A recognizer that is not on this thread; as `model.types.Recognizer`, awaited."""

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        ...

    async def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in order. Raises DeviceLost, and what the recognizer raises."""
        ...

    async def forget(self, stream: str) -> None:
        """Drop what is cached for a stream that has ended."""
        ...


class Device(Protocol):
    """Where the recognizer's work is done, one call after another."""

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function returns, awaited if need be, or raise what it raises."""
        ...

    def stop(self) -> None:
        """Take no more calls."""
        ...


class RemoteDevice:
    """Runs calls that only wait, on the event loop."""

    async def run(self, function: Callable[..., Coroutine[Any, Any, Result]], *arguments: Any) -> Result:
        """Await what the function returns; raise what it raises."""
        return await function(*arguments)

    def stop(self) -> None:
        """Do nothing: there is no call that is not awaited."""


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
