"""What goes into a command and what comes out."""

from __future__ import annotations

from pathlib import Path

import soundfile

from model.types import SAMPLE_RATE, Samples


def sound_file(path: Path, samples: Samples) -> str:
    """Write samples as they are; return the path for a command line."""
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return str(path)


def one_line(text: str) -> str:
    """Return what was said on standard error, which must be one line and marked as ours."""
    assert text.startswith("streamer: ")
    assert text.count("\n") == 1
    return text
