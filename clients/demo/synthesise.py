"""Make `digits.flac`: spoken digits by espeak-ng's voices, in utterances with pauses between them.

    python -m clients.demo.synthesise [FILE]

Needs espeak-ng. The same version of it makes the same file.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

from model.types import SAMPLE_RATE, Samples

CLIP = Path(__file__).with_name("digits.flac")

UTTERANCES = (
    ("en-gb", 48, "three, one, four, one, five"),
    ("en-us+f2", 55, "nine, two, six, five, three"),
    ("en-gb-scotland+m3", 42, "five, eight, nine, seven"),
    ("en-us+f4", 60, "nine, three, two, three, eight, four"),
)
"""Voice, pitch and text."""
WORDS_PER_MINUTE = 130
PAUSE_S = 1.0
PEAK = 0.5


def synthesise(voice: str, pitch: int, text: str) -> Samples:
    """Return speech at 16 kHz, (n,) float32."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(WORDS_PER_MINUTE), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603  # our own constants
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    loud: Samples = np.asarray(samples * (PEAK / np.abs(samples).max()), dtype=np.float32)
    return np.asarray(soxr.resample(loud, rate, SAMPLE_RATE), dtype=np.float32)


def main() -> None:
    """Write the clip."""
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), dtype=np.float32)
    parts = [pause]
    for voice, pitch, text in UTTERANCES:
        parts += [synthesise(voice, pitch, text), pause]
    soundfile.write(sys.argv[1] if len(sys.argv) > 1 else CLIP, np.concatenate(parts), SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
