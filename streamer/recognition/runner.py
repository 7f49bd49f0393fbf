"""Runs batches on the device, and finds whose fault it is if nothing comes of one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.recognition.device import Device, DeviceLost, RemoteRecognizer
from streamer.recognition.suspects import Suspects

logger = logging.getLogger(__name__)


class EngineError(Exception):
    """This request cannot be recognised; the cause is attached."""


class ShunnedError(EngineError):
    """A request of a stream that has taken the device down too often: it was not tried."""


class BatchRunner:
    """Asks one recognizer; remembers which streams are suspected of taking its device down."""

    def __init__(self, recognizer: Recognizer | RemoteRecognizer, on_failure: Callable[[int], None]) -> None:
        """`on_failure` hears of how many requests a batch was that failed."""
        self._recognizer = recognizer
        self._on_failure = on_failure
        self._suspects = Suspects()

    def divide(self, requests: Sequence[DecodeRequest]) -> list[list[int]]:
        """Return the batches to make of requests, as indices: those of nobody suspected first."""
        return self._suspects.divide([request.stream for request in requests])

    async def attempt(self, device: Device, requests: list[DecodeRequest]) -> list[Hypothesis] | EngineError | None:
        """Run a batch once: its answers, what is wrong with its only row, or None if its rows are to be tried alone."""
        streams = [request.stream for request in requests]
        if self._suspects.is_shunned(streams[0]):  # and alone, as every suspect is
            return ShunnedError("recognition failed: this stream has taken it down too often")
        try:
            answers = complete(await device.run(self._recognizer.transcribe, requests), requests)
        except DeviceLost as error:
            if not self._suspects.accuse(streams):
                return None
            return self._fail(requests, error)
        except Exception as error:  # noqa: BLE001  # whatever the device raises, the other streams must go on
            if len(requests) > 1:
                self._on_failure(len(requests))
                logger.warning("a batch of %d failed; its rows are tried one by one", len(requests))
                return None
            return self._fail(requests, error)
        self._suspects.acquit(streams)
        return answers

    async def forget(self, device: Device, stream: str) -> None:
        """Let the recognizer drop what it keeps for a stream that has ended."""
        self._suspects.forget(stream)
        await device.run(self._recognizer.forget, stream)

    def _fail(self, requests: Sequence[DecodeRequest], error: Exception) -> EngineError:
        """Return what the owner of a request hears that cannot be answered."""
        self._on_failure(len(requests))
        lost = isinstance(error, DeviceLost)  # then its own log line says where
        extra = {"stream": requests[0].stream, "reason": str(error)}
        logger.error("recognition failed", exc_info=None if lost else error, extra=extra)
        failure = EngineError(f"recognition failed: {error}")
        failure.__cause__ = error
        return failure


def complete(answers: list[Hypothesis], requests: Sequence[DecodeRequest]) -> list[Hypothesis]:
    """Return the answers if there is one for each request. Raises RuntimeError otherwise."""
    if len(answers) != len(requests):
        raise RuntimeError(f"the recognizer answered {len(answers)} of {len(requests)} requests")
    return answers
