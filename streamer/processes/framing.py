"""Messages between the daemon and a child on their socket: the length, four bytes big-endian, and so much of a body."""

from __future__ import annotations

import struct
from typing import Final

from msgspec import DecodeError

HEADER: Final = struct.Struct(">I")
"""The length of the body that follows."""
UNREADABLE: Final = (DecodeError, RecursionError, UnicodeError)
"""What msgspec raises for a body that is no message, the last two where it has no end and where its text is none."""


def framed(body: bytes) -> bytes:
    """Return a message as it goes over the socket."""
    return HEADER.pack(len(body)) + body
