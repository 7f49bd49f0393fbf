"""A file on its way in: in memory if it is small, in a temporary file if it is not; it has no name in either.

Either is a file of the system, whose descriptor a decoder is given.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Self

from starlette.requests import Request

from streamer.http.blocking import off_loop
from streamer.http.errors import ApiError
from streamer.http.form import ENVELOPE_BYTES, FormReader, too_large
from streamer.processes.memory_file import memory_file

MEMORY_BYTES = 1 << 20
"""Of a file that never sees the disk, and written to the disk at once of one that does."""


class Upload:
    """The bytes of one file. A context manager: nothing of it is left behind."""

    def __init__(self) -> None:
        """Begin empty."""
        self._file: BinaryIO | None = None
        self._pending = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def file(self) -> BinaryIO:
        """The file, at its beginning, once all of it is settled; it has a descriptor."""
        file = self._opened(small=True)
        file.seek(0)
        return file

    def write(self, data: bytes) -> None:
        """Take the next bytes; they are written by `settle`."""
        self._pending += data

    async def settle(self, *, least: int = MEMORY_BYTES) -> None:
        """Write what was taken if there is at least so much of it, off the event loop: a disk may be slow."""
        if len(self._pending) < least:
            return
        data, self._pending = bytes(self._pending), bytearray()
        await off_loop(lambda: self._write(data, small=least < MEMORY_BYTES))

    def _write(self, data: bytes, *, small: bool) -> None:
        file = self._opened(small=small)
        file.write(data)
        file.flush()  # a decoder reads what the system has

    def _opened(self, *, small: bool) -> BinaryIO:
        """Return the file; `small` says that what it is opened for is all of it."""
        if self._file is None:
            memory = os.fdopen(memory_file("streamer-upload"), "w+b") if small else None
            self._file = memory or TemporaryFile()  # noqa: SIM115  # closed by __exit__
        return self._file


async def receive(request: Request, upload: Upload, max_bytes: int, idle_s: float, total_s: float) -> FormReader:
    """Take a form whose file goes to `upload`; return it.

    Raises ApiError for a form that cannot be read, is too large or comes too slowly, ClientDisconnect.
    """
    form = FormReader(request.headers.get("content-type", ""), upload, max_bytes)
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > max_bytes + ENVELOPE_BYTES:
        raise too_large(max_bytes)  # it says so itself; what it does not say is counted
    try:
        async with asyncio.timeout(total_s):
            async for chunk in timely(request.stream(), idle_s):
                form.feed(chunk)
                await upload.settle()
            form.finish()
            await upload.settle(least=0)
    except TimeoutError:
        complaint = f"the file must come in within {total_s:g} s, and something of it every {idle_s:g} s"
        raise ApiError(408, "upload_timeout", complaint) from None
    return form


async def timely(chunks: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    """Yield what comes. Raises TimeoutError if nothing does for a while."""
    while True:
        async with asyncio.timeout(idle_s):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk
