"""A WAV file whose recorder never wrote the lengths: it died, or wrote into a pipe, with 0 as a place holder."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

HEADER_BYTES = 12
"""RIFF, a length, WAVE; then come chunks, each with a name and a length."""
CHUNK_BYTES = 8
MOST_CHUNKS = 100
"""That are looked at, whatever the file holds."""
UNKNOWN = b"\xff\xff\xff\xff"
"""The length that stands for `as long as the file is`."""


class UnfinishedWav(io.RawIOBase):
    """The file as it would be if its recorder had said that it does not know the length."""

    def __init__(self, file: BinaryIO, place: int) -> None:
        """`place` is that of the length of the samples; the file stays open."""
        self._file = file
        self._place = place

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, as in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Read, with the length replaced."""
        begin = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        for at, byte in enumerate(UNKNOWN, self._place - begin):
            if 0 <= at < len(data):
                data[at] = byte
        buffer[: len(data)] = data
        return len(data)


def missing_length(file: BinaryIO) -> int | None:
    """Return the place of a length of samples that is 0 although samples follow; None in any other file.

    Samples are what is not other chunks. The file is left where it was.
    """
    before = file.tell()
    try:
        return _missing_length(file)
    finally:
        file.seek(before)


def _missing_length(file: BinaryIO) -> int | None:
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEADER_BYTES)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    for place, name, size in chunks(file, HEADER_BYTES):
        if name == b"data":
            behind = place + CHUNK_BYTES
            return place + 4 if size == 0 and behind < end and not are_chunks(file, behind, end) else None
    return None


def are_chunks(file: BinaryIO, place: int, end: int) -> bool:
    """Say whether a file without samples goes on with other chunks, up to its end."""
    for begin, name, size in chunks(file, place):
        if not (name.isascii() and name.decode().isprintable()):
            return False
        place = begin + CHUNK_BYTES + size + size % 2
        if place >= end:
            break
    return place in (end, end + 1)  # the last one may lack its padding


def chunks(file: BinaryIO, place: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield place, name and length of chunk after chunk from a place on, MOST_CHUNKS at most."""
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(CHUNK_BYTES)
        if len(head) < CHUNK_BYTES:
            return
        name, size = struct.unpack("<4sI", head)
        yield place, name, size
        place += CHUNK_BYTES + size + size % 2
