r"""Wyoming's events as they are on the wire: a line of JSON, then perhaps more JSON and bytes, as the line announces.

    {"type": "audio-chunk", "data_length": 42, "payload_length": 2048}\n
    {"rate":16000,"width":2,"channels":1}…            42 bytes, merged with what the line itself has as `data`
    …                                                 2048 bytes

A connection's bytes are cut into events as they come, whatever pieces they come in; what is held is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from streamer.core.commands import Close, ErrorCode, ProtocolError
from streamer.protocols.checks import shorten
from streamer.protocols.frames import ENCODER, Frame

MAX_LINE_BYTES = 65_536
"""Of an event's first line; real ones have a hundred."""

Length = Annotated[int, msgspec.Meta(ge=0)]


class Header(msgspec.Struct, omit_defaults=True):
    """An event's first line. Keys that are not here are ignored, among them the version of the client's library."""

    type: str
    data: dict[str, Any] | None = None
    data_length: Length | None = None
    payload_length: Length | None = None


HEADERS = msgspec.json.Decoder(Header)
DATA: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class WyomingEvent:
    """One message, either way."""

    type: str
    data: Frame = field(default_factory=dict)
    payload: bytes = b""


class EventReader:
    """Cuts one connection's bytes into events."""

    def __init__(self, max_bytes: int) -> None:
        """Let an event announce `max_bytes` after its first line, and no more."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        """Bytes in which no end of a line was found."""
        self._header: Header | None = None

    def receive(self, data: bytes) -> Iterator[WyomingEvent]:
        """Yield the events that `data` completes, lazily. Raises ProtocolError for what is no event, or too long."""
        self._buffer += data
        while (event := self._next()) is not None:
            yield event

    @property
    def rest(self) -> bytes:
        """What no event was made of, between two events: another reader goes on with it."""
        return bytes(self._buffer)

    def _next(self) -> WyomingEvent | None:
        """Return the next event if it is there to its end."""
        if self._header is None:
            line = self._next_line()
            if line is None:
                return None
            self._header = self._read_header(line)
        header, data_bytes = self._header, self._header.data_length or 0
        length = data_bytes + (header.payload_length or 0)
        if len(self._buffer) < length:
            return None
        more = read(DATA, self._take(data_bytes), "an event's data") if data_bytes else {}
        payload = self._take(length - data_bytes)
        self._header = None
        return WyomingEvent(header.type, {**(header.data or {}), **more}, payload)

    def _next_line(self) -> bytes | None:
        """Return the next line, None as long as its end is not there. Raises ProtocolError for one too long."""
        end = self._buffer.find(b"\n", self._searched)
        self._searched = len(self._buffer) if end < 0 else 0
        if max(end, self._searched) > MAX_LINE_BYTES:
            complaint = f"an event's first line may have {MAX_LINE_BYTES} bytes"
            raise ProtocolError(ErrorCode.MESSAGE_TOO_BIG, complaint, Close.TOO_BIG)
        return None if end < 0 else self._take(end + 1)

    def _read_header(self, line: bytes) -> Header:
        header: Header = read(HEADERS, line, "an event's first line")
        length = (header.data_length or 0) + (header.payload_length or 0)
        if length > self._max_bytes:
            complaint = f"an event may announce {self._max_bytes} bytes, got {length}"
            raise ProtocolError(ErrorCode.MESSAGE_TOO_BIG, complaint, Close.TOO_BIG)
        return header

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def read(decoder: msgspec.json.Decoder[Any], data: bytes, what: str) -> Any:
    """Return a JSON object. Raises ProtocolError for anything else, naming `what` it should be."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        complaint = f"{what} must be a JSON object: {shorten(str(error))}"
        raise ProtocolError(ErrorCode.BAD_MESSAGE, complaint, Close.UNREADABLE) from None


def write(event: WyomingEvent) -> bytes:
    """Return an event's bytes, its data after the line, as all known programs write it."""
    data = ENCODER.encode(event.data) if event.data else b""
    header = Header(event.type, data_length=len(data) or None, payload_length=len(event.payload) or None)
    return ENCODER.encode(header) + b"\n" + data + event.payload
