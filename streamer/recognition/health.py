"""Whether recognition happens, as far as its answers tell. Pure.

Theory of operation. A request that fails may be at fault itself, or everything fails; from the failures of those who
happen to speak nobody can tell which. So a stream's failures are its own: they close the door to nobody else. Several
in a row, with an answer to nobody in between, raise a doubt, and a doubt is settled by a trial (`recovery.py`), silence
that is decoded at once. If that fails too, recognition does not happen, until something is answered.
"""

from __future__ import annotations

TRIAL = "warm-up"
"""The stream of the daemon's own decodes."""
FAILURES_UNTIL_DOUBT = 3
"""In a row, of whatever streams."""


class Health:
    """Of one device."""

    def __init__(self) -> None:
        """Begin well."""
        self._failures = 0
        self.happens = True
        """Whether recognition happens, as far as is known."""

    @property
    def doubtful(self) -> bool:
        """Whether a trial is needed."""
        return self._failures >= FAILURES_UNTIL_DOUBT or not self.happens

    def answer(self) -> None:
        """Take note of an answer."""
        self._failures, self.happens = 0, True

    def fail(self, stream: str) -> None:
        """Take note of a request of a stream that failed."""
        self._failures += 1
        if stream == TRIAL:
            self.happens = False
