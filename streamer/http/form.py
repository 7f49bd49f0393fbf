"""multipart/form-data as it comes in: parts in any order, the file to a spool, fields to memory, all of it bounded.

python-multipart's parser finds the parts and bounds their headers. Starlette's form parser on top of it bounds neither
the file nor the number of bytes in all, and writes every file of a form; so the parts are taken from the parser itself.
"""

from __future__ import annotations

from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from streamer.http.errors import ApiError, invalid

FILE = "file"
MAX_PARTS = 64
MAX_NAME_BYTES = 128
MAX_FIELD_BYTES = 65_536
"""Of one field's value."""
MAX_HEADERS, MAX_HEADER_BYTES = 8, 4_096
"""Of one part; of one of its headers."""
ENVELOPE_BYTES = 1 << 20
"""Of the form beside its file."""


class Sink(Protocol):
    """Where the file goes."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        ...


class FormReader:
    """Takes a form's bytes as they come. Every method raises ApiError for what is not a form, or too much of one."""

    def __init__(self, content_type: str, sink: Sink, max_file_bytes: int) -> None:
        """`sink` takes the part named file, of which there may be one."""
        self._sink = sink
        self._max_file_bytes = max_file_bytes
        self.fields: dict[str, list[str]] = {}
        """The values of every field, in order."""
        self.has_file = False
        self._parts = 0
        self._bytes = 0
        self._file_bytes = 0
        self._ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = ""
        self._name = ""
        self._data = bytearray()
        self._parser = self._open(content_type)

    def _open(self, content_type: str) -> MultipartParser:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            complaint = f"the body must be multipart/form-data with a boundary, got Content-Type {content_type[:80]!r}"
            raise ApiError(400, "invalid_content_type", complaint)
        callbacks = {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._name_part,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            return MultipartParser(
                boundary,
                callbacks,  # type: ignore[arg-type]  # the same callbacks, as a plain dictionary
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise ApiError(400, "invalid_form", str(error)) from None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._bytes += len(data)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise ApiError(400, "invalid_form", f"the form cannot be read: {error}") from None
        if self._bytes - self._file_bytes > ENVELOPE_BYTES:
            raise ApiError(413, "form_too_large", f"the form may have {ENVELOPE_BYTES} bytes beside its file")

    def finish(self) -> None:
        """Say that the body is complete."""
        if not self._ended:
            raise ApiError(400, "invalid_form", "the form ends in the middle: its last boundary is missing")
        if not self.has_file:
            raise invalid(FILE, "a file is required: a form field named file", "missing_required_parameter")

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise ApiError(400, "invalid_form", f"a form may have {MAX_PARTS} parts")
        self._disposition = self._name = ""
        self._data = bytearray()

    def _begin_header(self) -> None:
        self._header, self._value = bytearray(), bytearray()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")

    def _name_part(self) -> None:
        """Learn the name of a part once its headers are there."""
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if not name or len(name) > MAX_NAME_BYTES:
            complaint = f"every part of the form needs a name of at most {MAX_NAME_BYTES} bytes in Content-Disposition"
            raise ApiError(400, "invalid_form", complaint)
        self._name = name.decode("utf-8", "replace")
        if self._name == FILE:
            if self.has_file:
                raise invalid(FILE, "a form may have one file, got several")
            self.has_file = True

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._file_bytes += end - start
            if self._file_bytes > self._max_file_bytes:
                raise too_large(self._max_file_bytes)
            self._sink.write(data[start:end])
            return
        self._data += data[start:end]
        if len(self._data) > MAX_FIELD_BYTES:
            raise invalid(self._name, f"a field may have {MAX_FIELD_BYTES} bytes")

    def _end_part(self) -> None:
        if self._name == FILE:
            return
        try:
            value = self._data.decode()
        except UnicodeDecodeError:
            raise invalid(self._name, "a field must be UTF-8 text") from None
        self.fields.setdefault(self._name, []).append(value)

    def _end(self) -> None:
        self._ended = True


def too_large(max_bytes: int) -> ApiError:
    """Return the error of a file that has too many bytes."""
    return ApiError(413, "file_too_large", f"a file may have {max_bytes} bytes", param=FILE)
