"""What the demonstration plays, and the truth about what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.demo.synthesise import CLIP, PAUSE_S
from clients.file import SoundFile
from model.types import SAMPLE_RATE, Samples

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "fsdd"
"""Beside a checkout there may be the Free Spoken Digit Dataset; its licence (CC BY-SA) keeps it out of this one."""

UTTERANCES = (
    ("jackson", 0, (3, 1, 4, 1, 5)),
    ("nicolas", 1, (9, 2, 6, 5, 3)),
    ("george", 2, (5, 8, 9, 7)),
    ("yweweler", 3, (9, 3, 2, 3, 8, 4)),
)
"""Speaker, take, digits. Takes 0 to 4 are the dataset's test split: the demo model has not been trained on them."""
BETWEEN_DIGITS_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Speech and its origin."""

    samples: Samples
    description: str
    """Whose voice it is, for the screen."""


def choose_clip(file: Path | None = None, recordings: Path = RECORDINGS) -> Clip:
    """Return `file`, else real recordings, else the synthesised clip. Raises FileError."""
    if file is not None:
        with SoundFile(file) as sound:
            return Clip(sound.read(), f"your file {file}")
    if all(path.is_file() for path in _takes(recordings)):
        return Clip(
            _recorded(recordings),
            "real recordings: digits spoken by four people (Free Spoken Digit Dataset, CC BY-SA 4.0)",
        )
    with SoundFile(CLIP) as sound:
        return Clip(sound.read(), "synthetic speech: digits spoken by espeak-ng (give --file to hear a real voice)")


def _takes(folder: Path) -> list[Path]:
    return [_take(folder, digit, speaker, take) for speaker, take, digits in UTTERANCES for digit in digits]


def _take(folder: Path, digit: int, speaker: str, take: int) -> Path:
    return folder / f"{digit}_{speaker}_{take}.wav"


def _recorded(folder: Path) -> Samples:
    pause, gap = _silence(PAUSE_S), _silence(BETWEEN_DIGITS_S)
    parts = [pause]
    for speaker, take, digits in UTTERANCES:
        for digit in digits:
            with SoundFile(_take(folder, digit, speaker, take)) as sound:
                parts += [sound.read(), gap]
        parts.append(pause)
    return np.concatenate(parts)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32)
