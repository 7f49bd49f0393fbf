"""Debian's Chromium without a screen, whose microphone hears a file from the moment that a page opens it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from model.types import SAMPLE_RATE, Samples

SILENCE_S = 20
"""After the speech; then the device goes on with silence of its own."""


def program() -> str | None:
    """Return where Chromium is: as STREAMER_CHROMIUM says, else on the path; None if it is nowhere.

    The one that is made without a window takes half the processor's time of the other.
    """
    return os.environ.get("STREAMER_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")


def write_speech(path: Path, speech: Samples) -> None:
    """Write what the microphone hears."""
    soundfile.write(path, np.concatenate([speech, np.zeros(SILENCE_S * SAMPLE_RATE, np.float32)]), SAMPLE_RATE)


async def launch(driver: Any, path: str, recording: Path) -> Any:
    """Start it; `driver` is Playwright's."""
    return await driver.chromium.launch(
        executable_path=path,
        args=[
            "--no-sandbox",  # which Chromium insists on for root
            "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={recording}%noloop",
        ],
    )
