"""How long to wait before a device is tried again.

Each try is a process. A device that was lost is usually plugged in again soon; one that was never there, or that fails
again and again right after it was opened, may stay so for ever.
"""

from __future__ import annotations

FIRST_S = 0.25
LONGEST_S = 2.0
"""After a loss: the device is back within five seconds of being plugged in."""
ABSENT_FIRST_S = 1.0
ABSENT_LONGEST_S = 30.0
BRIEF_S = 5.0
"""A recording that was shorter has failed right away."""
MOST_BRIEF = 3
"""Brief recordings in a row that may be somebody who moves a plug."""


class Retries:
    """The pauses between the recordings of one device; pure."""

    def __init__(self) -> None:
        self._pause = ABSENT_FIRST_S
        self._longest = ABSENT_LONGEST_S
        self._brief = 0

    def recorded(self, seconds: float) -> None:
        """Note that a recording has ended which lasted so long."""
        self._brief = self._brief + 1 if seconds < BRIEF_S else 0
        if self._brief > MOST_BRIEF:
            self._longest = ABSENT_LONGEST_S
        else:
            self._pause, self._longest = FIRST_S, LONGEST_S

    def pause(self) -> float:
        """Return the seconds to wait before the next try: each time twice as long."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause
