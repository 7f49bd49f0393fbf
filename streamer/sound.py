"""Sound files as mono samples at 16 kHz, read in blocks: memory is bounded by the block, whatever the file claims."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from model.types import SAMPLE_RATE, Samples
from streamer.unfinished_wav import UnfinishedWav, missing_length

NEEDS_MORE_THAN_A_FILE = frozenset({"RAW", "SD2"})
"""Of libsndfile's formats: one has no header, the other keeps it in a file beside."""

MAX_RATE = 1_000_000
"""Hertz; a block of a second at the rate that some header claims might not fit in memory."""


class SoundError(Exception):
    """What cannot be read as sound, or not to its end."""


class ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A file that is read from its beginning to its end, wherever its header says that the end is.

    soundfile reads no further than the header claims, and seeks after every block, which fails at the end of a FLAC
    file that was written into a pipe; it does neither to a file that cannot seek.
    """

    def seekable(self) -> bool:
        """Say that nobody is going to seek."""
        return False


class Sound:
    """An open sound file: WAV, FLAC, Ogg (Vorbis, Opus), MP3, and whatever else libsndfile reads."""

    def __init__(self, source: Path | BinaryIO) -> None:
        """Open `source`, a path or a binary file that can seek. Raises SoundError; OSError as open() does."""
        self._opened: BinaryIO | None = None  # by us, beside what soundfile opens
        try:
            self._file: Any = ForwardFile(encoded(source))
            if not self._file.frames:
                self._read_unfinished(source)
        except soundfile.LibsndfileError as error:
            raise SoundError(reason(error)) from error
        self.rate = int(self._file.samplerate)
        """Hertz, as the header says."""
        if self.rate > MAX_RATE:
            self.close()
            raise SoundError(f"a rate of {self.rate} Hz, more than {MAX_RATE}, is no sound")
        self.channels = int(self._file.channels)

    @property
    def claimed_s(self) -> float:
        """Length as the header says it, in seconds."""
        return float(self._file.frames) / self.rate

    @cached_property
    def _resampler(self) -> Any:
        return soxr.ResampleStream(self.rate, SAMPLE_RATE, 1, dtype="float32")

    def close(self) -> None:
        """Let go of the file; one that was opened by somebody else stays open."""
        self._file.close()
        if self._opened is not None:
            self._opened.close()

    def _read_unfinished(self, source: Path | BinaryIO) -> None:
        """Open a WAV file without a length as one whose samples go on to its end."""
        if isinstance(source, Path) and not source.is_file():
            return  # of a pipe the beginning has gone
        file = source.open("rb") if isinstance(source, Path) else source
        if file is not source:
            self._opened = file
        place = missing_length(file)
        if place is not None:
            self._file.close()
            file.seek(0)
            self._file = ForwardFile(UnfinishedWav(file, place))

    def read(self, block_s: float) -> Iterator[Samples]:
        """Yield the rest of the file, (n,) float32 at its own rate, channels averaged, `block_s` seconds each.

        The last block is shorter than the others, perhaps empty. Raises SoundError where the file is damaged.
        """
        frames = max(round(block_s * self.rate), 1)
        full = True
        while full:
            try:
                block = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise SoundError(reason(error)) from error
            full = len(block) == frames
            # A float file may hold anything; what is not a number is silence.
            mono = np.nan_to_num(block.mean(axis=1, dtype=np.float32), posinf=1.0, neginf=-1.0)
            yield np.clip(mono, -1.0, 1.0)

    def blocks(self, block_s: float) -> Iterator[Samples]:
        """Yield the rest of the file, (n,) float32 at 16 kHz, about `block_s` each. Raises SoundError."""
        frames = max(round(block_s * self.rate), 1)
        for mono in self.read(block_s):
            samples = self._resampler.resample_chunk(mono, last=len(mono) < frames)
            if len(samples):
                yield samples


def encoded(source: Path | BinaryIO) -> bytes | Path | BinaryIO:
    """Return what soundfile opens whatever a file is called: names need not be text, but on Windows they are."""
    return os.fsencode(source) if isinstance(source, Path) and sys.platform != "win32" else source


def reason(error: soundfile.LibsndfileError) -> str:
    """Return what libsndfile has to say, as part of a sentence."""
    return str(error.error_string).rstrip(". ")


def readable_formats() -> list[str]:
    """Return the names of the formats that can be read, in lower case."""
    return sorted(name.lower() for name in soundfile.available_formats() if name not in NEEDS_MORE_THAN_A_FILE)
