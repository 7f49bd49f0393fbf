"""What the child writes on its standard error: libraries that complain, and Python's last words at a crash."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

logger = logging.getLogger(__name__)

LINE_BYTES: Final = 4096
MOST_LINES: Final = 500
"""That are logged of one child, and that are kept of its last words."""
FATAL: Final = "Fatal Python error"
"""Begins what `faulthandler` says at a signal that ends the process: where each thread was."""


class ErrorOutput:
    """Logs lines as they come; keeps those of a crash, which belong to the news of it."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._count = 0
        self._last_words: list[str] = []

    @property
    def last_words(self) -> str:
        """What Python said at a crash; empty if it was none."""
        return "\n".join(self._last_words)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Take lines to the end of the stream."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the reader allows: what there is of it has been dropped
                continue
            if not line:
                return
            self._take(line.decode(errors="replace").rstrip())

    def _take(self, line: str) -> None:
        if self._last_words or line.startswith(FATAL):
            if len(self._last_words) < MOST_LINES:
                self._last_words.append(line)
            return
        self._count += 1
        if self._count < MOST_LINES:
            logger.warning("%s", line, extra={"by": "standard error of the recognizer's process"})
        elif self._count == MOST_LINES:
            logger.warning("the recognizer's process writes more on standard error, which is not shown")
