"""What the recording process writes to its pipe.

A frame: one byte kind, four bytes length, eight bytes time (float64), little-endian, then the payload. Times are the
system's monotonic clock, which all its processes share, so that what is missing can be told however late it is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

HEADER = struct.Struct("<cId")


class Kind(Enum):
    """What a frame holds."""

    OPENED = b"O"
    """Name of the device, UTF-8."""
    AUDIO = b"A"
    """s16le mono at 16 kHz."""
    LOST = b"L"
    """Decimal number of 16 kHz samples that were not recorded between the audio around this frame."""
    FAILED = b"F"
    """Why the device cannot be used (any longer), UTF-8; the last frame. It may work later."""
    UNAVAILABLE = b"U"
    """What has to be installed, UTF-8; the last frame. Trying again is of no use before that is done."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed part of a frame."""

    kind: Kind
    length: int
    time: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: Kind
    payload: bytes
    time: float = 0.0
    """Monotonic seconds at the end of what the frame tells of."""

    def pack(self) -> bytes:
        """Return it as it is written."""
        return HEADER.pack(self.kind.value, len(self.payload), self.time) + self.payload


def read_header(data: bytes) -> Header:
    """Return the header in HEADER.size bytes. Raises ValueError for an unknown kind."""
    kind, length, time = HEADER.unpack(data)
    return Header(Kind(kind), length, time)
