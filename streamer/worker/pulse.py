"""The child's sign of life."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

from streamer.worker.link import Link, leave
from streamer.worker.messages import Beat

BEAT_S = 0.5
"""Between two beats; an orphan notices by them, too."""
PR_SET_PDEATHSIG: Final = 1


def begin_pulse(link: Link, interval_s: float = BEAT_S) -> None:
    """Beat for ever, on a thread: as long as Python's lock is to be had, whatever the recognizer does."""

    def beat() -> None:
        while True:
            link.send(Beat())
            pause.wait(interval_s)

    pause = threading.Event()
    threading.Thread(target=beat, name="pulse", daemon=True).start()


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, even if it hangs or is stopped. Source: prctl(2).

    Linux only; elsewhere the next beat finds out.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        leave()
