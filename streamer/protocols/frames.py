"""JSON objects as text messages, where a protocol's messages have no fixed shapes."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.core.commands import Close, ErrorCode, ProtocolError
from streamer.protocols.checks import shorten

Frame = dict[str, Any]

ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder()


def read_frame(message: str) -> Frame:
    """Return the JSON object that a text message is. Raises ProtocolError for any other text."""
    try:
        frame = DECODER.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        complaint = f"a text message must be a JSON object: {shorten(str(error))}"
        raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE) from None
    if not isinstance(frame, dict):
        complaint = f"a text message must be a JSON object, got {shorten(repr(frame))}"
        raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE)
    return frame


def write_frame(frame: Frame) -> str:
    """Return a JSON object as a text message."""
    return ENCODER.encode(frame).decode()
