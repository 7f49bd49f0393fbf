"""What parent and child say to each other: msgpack, one tagged union from the child and one message to it.

They are framed as in `streamer/processes/framing.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

MOST_BYTES: Final = 2**20
"""Of one message; a block of a second is 64,000."""


class Objection(StrEnum):
    """Why a file is refused; a closed set, which clients of the API see as `code`."""

    UNSUPPORTED = "unsupported_format"
    DAMAGED = "invalid_value"
    EMPTY = "audio_too_short"
    LONG = "audio_too_long"
    COSTLY = "audio_too_costly"


class UnfitError(Exception):
    """A file that is not taken."""

    def __init__(self, objection: Objection, message: str) -> None:
        """`message` is for the one who sent the file."""
        super().__init__(message)
        self.objection = objection
        self.message = message


class Decode(Struct, tag="decode", frozen=True):
    """The only message to a child; the file's descriptor comes with it."""

    max_audio_s: float
    time_s: float
    """Of a processor, to measure the file and for each block."""


class Begun(Struct, tag="begun", frozen=True):
    """The child has its file."""


class Measured(Struct, tag="measured", frozen=True):
    """How long the file is; blocks follow."""

    samples: int
    """At 16 kHz."""


class Unfit(Struct, tag="unfit", frozen=True):
    """Why the file is not taken; the child ends."""

    objection: Objection
    message: str


class Block(Struct, tag="block", frozen=True):
    """The next samples."""

    samples: bytes
    """Float32 mono at 16 kHz, as this machine writes it."""


class End(Struct, tag="end", frozen=True):
    """There are no more blocks; the child ends."""


class Failure(Struct, tag="failure", frozen=True):
    """The child cannot go on, and ends."""

    message: str
    traceback: str
    out_of_memory: bool


ToParent: TypeAlias = Begun | Measured | Unfit | Block | End | Failure
