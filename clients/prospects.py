"""After which failures of a connection another one may go better. Pure."""

from __future__ import annotations

from clients.errors import ConnectionLost, StreamError, Unreachable
from streamer.core.commands import Close

PASSING = frozenset({"shutting_down", "busy", "overloaded", "not_ready", "resume_unknown", "open_timeout"})
"""Errors that have to do with the moment."""
FAULTS = frozenset({"internal", "recognition_failed"})
"""Errors that are nobody's intent: what is kept is sent again."""
REFUSALS = frozenset({Close.UNREADABLE, Close.TOO_BIG})
"""Close codes by which a server, or a proxy before it, finds fault with what was sent: it is sent again as it was."""
MOST_FAULTS = 3
"""Of these in a row after which nothing more was decided."""
NOT_ALLOWED = frozenset({400, 401, 403, 404})
"""HTTP statuses that stay."""


class Prospects:
    """Of one stream, whose failures it is told one after the other."""

    def __init__(self) -> None:
        self._abandoned = 0
        self._faults, self._covered = 0, -1

    def abandon(self) -> None:
        """Take note of an attempt that was given up when its `start` was sent: it may reach the server later.

        The server then takes it for the newer connection, and ends the one that is (`docs/protocol.md`, Resuming).
        """
        self._abandoned += 1

    def are_good(self, failure: Exception, covered: int) -> bool:
        """Say whether to try again after a failure; `covered` is what was decided by then, in frames."""
        match failure:
            case Unreachable():
                return failure.status not in NOT_ALLOWED
            case StreamError(code="taken_over"):  # by one of our own that came late, if there is one
                self._abandoned -= 1
                return self._abandoned >= 0
            case StreamError() if failure.code in FAULTS:
                return self._is_new(covered)
            case StreamError():
                return failure.code in PASSING
            case ConnectionLost() if failure.code in REFUSALS:
                return self._is_new(covered)
            case _:
                return True

    def _is_new(self, covered: int) -> bool:
        """Take note of a fault; say whether it is not the same again and again."""
        self._faults = 1 if covered > self._covered else self._faults + 1
        self._covered = covered
        return self._faults < MOST_FAULTS
