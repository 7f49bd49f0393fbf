"""The daemon under test: `tests.faulty.daemon`, which tells how many tasks it has and can be held up.

SIGUSR1 writes the number of its tasks to `tasks` in FAULTS_FOLDER. SIGUSR2 holds the event loop for FAULTS_HOLD_S seconds.
With FAULTS_SYNC_S each write of the journal takes so much longer; with FAULTS_STUCK the journal's thread hangs from the
moment at which that file exists.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from streamer.journal.scribe import Scribe
from tests.faulty.daemon import app


def main() -> int:
    """Be the daemon."""
    folder = Path(os.environ["FAULTS_FOLDER"])

    def count(*_: Any) -> None:
        text = str(len(asyncio.all_tasks(asyncio.get_running_loop())))
        (folder / "tasks.new").write_text(text)
        (folder / "tasks.new").replace(folder / "tasks")

    signal.signal(signal.SIGUSR1, count)
    signal.signal(signal.SIGUSR2, lambda *_: time.sleep(float(os.environ.get("FAULTS_HOLD_S", "1"))))
    slow_journal(float(os.environ.get("FAULTS_SYNC_S", "0")), Path(os.environ.get("FAULTS_STUCK", "/nowhere")))
    return app()


def slow_journal(seconds: float, stuck: Path) -> None:
    """Make the disk slow, or a call to it hang."""
    write = Scribe._write

    def slowly(self: Scribe) -> bool:
        if seconds:  # libfaketime makes a sleep of none an error
            time.sleep(seconds)
        while stuck.exists():
            time.sleep(0.1)
        return write(self)

    Scribe._write = slowly


if __name__ == "__main__":
    sys.exit(main())
