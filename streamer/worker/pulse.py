"""The child's sign of life."""

from __future__ import annotations

import threading

from streamer.worker.link import Link
from streamer.worker.messages import Beat

BEAT_S = 0.5
"""Between two beats; an orphan notices by them, too."""


def begin_pulse(link: Link, interval_s: float = BEAT_S) -> None:
    """Beat for ever, on a thread: as long as Python's lock is to be had, whatever the recognizer does."""

    def beat() -> None:
        while True:
            link.send(Beat())
            pause.wait(interval_s)

    pause = threading.Event()
    threading.Thread(target=beat, name="pulse", daemon=True).start()
