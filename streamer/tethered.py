"""The same program for one that starts it: it ends when that one does, however that came about.

Its standard input is a pipe from there, on which nothing is said: the end of it is the end of the other program, also
of one that was killed and could tell nobody. It then ends as at SIGTERM, and nothing stays behind. Unlike what
`processes/children.py` asks of Linux's kernel this works on every system, and those who are connected are told.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from streamer.__main__ import main


def tether(descriptor: int, end: Callable[[], None]) -> None:
    """Call `end`, on a thread of its own, when nobody can write to a pipe any more."""

    def watch() -> None:
        while os.read(descriptor, 1024):
            pass
        end()

    threading.Thread(target=watch, name="tether", daemon=True).start()


def end() -> None:
    """End this process as a service manager would."""
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    tether(0, end)
    main()
