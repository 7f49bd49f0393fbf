"""Sound files, read in blocks and mixed down, and sent at the speed of time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from model.types import SAMPLE_RATE, Samples
from streamer.sound import Sound, SoundError

BLOCK_S = 0.1


class FileError(Exception):
    """A file that cannot be read as sound; the message names it."""


class SoundFile:
    """A sound file as mono samples at 16 kHz: WAV, FLAC, Ogg, MP3, and whatever else libsndfile reads."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises FileError if that cannot be done."""
        self._path = path
        try:
            if not path.is_fifo():  # which can be opened once
                with path.open("rb"):
                    pass  # libsndfile only says "System error"
            self._sound = Sound(path)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from error
        except SoundError as error:
            raise FileError(f"{path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sound.close()

    @property
    def duration_s(self) -> float:
        """Length as the header says it."""
        return self._sound.claimed_s

    def blocks(self, block_s: float = BLOCK_S) -> Iterator[Samples]:
        """Yield the rest of the file, (n,) float32, about `block_s` each. Raises FileError where it is damaged."""
        try:
            yield from self._sound.blocks(block_s)
        except SoundError as error:
            raise FileError(f"{self._path}: {error}") from error

    def read(self) -> Samples:
        """Return the rest of the file at once. Raises FileError."""
        blocks = list(self.blocks(block_s=10.0))
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def shown_name(path: Path) -> str:
    """Return a file's name as a terminal can show it: names need not be text."""
    return os.fsencode(path.name).decode(errors="replace")


async def paced(blocks: Iterable[Samples], speed: float) -> AsyncIterator[Samples]:
    """Yield each block when its last sample would have been heard; speed 2.0 is twice as fast, 0 does not wait.

    Deadlines are counted from the beginning: a delay on the way is made up for, and none adds up.
    Raises ValueError for a negative speed.
    """
    if not 0 <= speed < float("inf"):
        raise ValueError(f"speed must be 0 (as fast as accepted) or more, got {speed:g}")
    clock = asyncio.get_running_loop().time
    begun = clock()
    heard = 0
    for block in blocks:
        heard += len(block)
        if speed:
            await asyncio.sleep(max(begun + heard / SAMPLE_RATE / speed - clock(), 0.0))
        yield block
