"""One voice for what goes wrong."""

from __future__ import annotations

import sys


def complain(text: str) -> None:
    """Say something on standard error, marked as ours."""
    sys.stderr.write(f"streamer: {text}\n")
    sys.stderr.flush()
