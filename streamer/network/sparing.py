"""Log lines that strangers can cause at will, as many as they like: a disk must not fill for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

QUIET_S = 60.0
"""Between two lines of a kind."""


class SparingLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that says the same once a minute, and then how often it was left unsaid; at DEBUG it says everything.

    What is the same goes by the unformatted message and, where it has one, its `status`: both come from closed sets.
    Errors are said whenever they happen: they are ours.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        super().__init__(logger, {})
        self._clock = clock
        self._kinds: dict[Hashable, tuple[float, int]] = {}

    @property
    def level(self) -> int:
        """The logger's own."""
        return self.logger.level

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Say something, unless it was said just now."""
        if level < logging.ERROR and not self.isEnabledFor(logging.DEBUG):
            extra = dict(kwargs.get("extra") or {})
            kind = (msg, extra.get("status"))
            now = self._clock()
            until, unsaid = self._kinds.get(kind, (now, 0))
            if now < until:
                self._kinds[kind] = until, unsaid + 1
                return
            self._kinds[kind] = now + QUIET_S, 0
            kwargs["extra"] = extra | ({"unsaid": unsaid} if unsaid else {})
        self.logger.log(level, msg, *args, stacklevel=kwargs.pop("stacklevel", 1) + 2, **kwargs)
