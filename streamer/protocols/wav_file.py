"""A WAV file that arrives in pieces. Source: RIFF, Microsoft's WAVEFORMATEX and WAVEFORMATEXTENSIBLE."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass

from streamer.core.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioError, Encoding

MAX_HEADER_BYTES = 65_536
EXTENSIBLE = 0xFFFE
ENCODINGS = {
    (1, 16): Encoding.PCM_S16LE,
    (3, 32): Encoding.PCM_F32LE,
    (6, 8): Encoding.ALAW,
    (7, 8): Encoding.MULAW,
}
"""By format tag and bits a sample."""
UNKNOWN = frozenset({0, 0xFFFF_FFFF})
"""Sizes of the audio that writers leave who do not know it yet: all that follows is audio."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the header says."""

    encoding: Encoding
    rate: int
    channels: int


class WavFile:
    """Finds the samples.

    Chunks that follow them are none of them, but for those of another file of the same format. What follows them and is
    no chunk is audio: of a client whose header tells of its first piece only.
    """

    def __init__(self) -> None:
        self._head = b""
        self._found: WavFormat | None = None
        self._format: WavFormat | None = None
        self._passed = 0  # bytes of chunks that are no audio
        self._skip = 0  # bytes to come that are nothing
        self._left = 0  # bytes of audio that are still to come
        self._padded = False  # whether a byte may follow that fills up an odd number of them

    def receive(self, data: bytes) -> tuple[WavFormat, bytes] | None:
        """Take bytes; return the format and the audio among them, None while the first header goes on.

        Raises AudioError for anything but WAV files of one format that can be read.
        """
        audio = b""
        while data:
            if not self._left:
                data = self._seek(data)
            audio += data[: self._left]
            data, self._left = data[self._left :], max(self._left - len(data), 0)
        return None if self._format is None else (self._format, audio)

    def _seek(self, data: bytes) -> bytes:
        """Take bytes that are no audio; return those behind the next header, none while it goes on."""
        self._head += data
        while self._head:
            passed = min(self._skip, len(self._head))
            self._head, self._skip, self._passed = self._head[passed:], self._skip - passed, self._passed + passed
            if self._passed == 0:
                self._check_start()
            elif self._format is not None and not self._is_chunk():
                return self._begin(0, 0)
            if len(self._head) < (12 if self._head.startswith(b"R") else 8):
                break
            name, size = struct.unpack_from("<4sI", self._head)
            if name == b"data":
                return self._begin(size, 8)
            if name == b"fmt " and self._read_format(size) is None:
                break
            self._skip = 12 if name == b"RIFF" else 8 + size + size % 2  # all the others are in it
            if self._format is None and self._passed + self._skip > MAX_HEADER_BYTES:
                raise AudioError(f"a WAV header may have {MAX_HEADER_BYTES} bytes")
        return b""

    def _check_start(self) -> None:
        """Raise AudioError if this is not how a WAV file begins."""
        if not (b"RIFF".startswith(self._head[:4]) and b"WAVE".startswith(self._head[8:12])):
            raise AudioError("audio without an encoding must be a WAV file: RIFF, WAVE")

    def _is_chunk(self) -> bool:
        """Say whether what follows a file's audio is a chunk: a chunk has a name."""
        if self._padded and self._head.startswith(b"\0"):
            self._head = self._head[1:]
        self._padded = False
        return all(0x20 <= byte < 0x7F for byte in self._head[:4])

    def _read_format(self, size: int) -> WavFormat | None:
        """Read the chunk at hand; None while it is not all there."""
        if size <= MAX_HEADER_BYTES and len(self._head) < 8 + size:
            return None
        self._found = read_format(self._head[8 : 8 + size])
        return self._found

    def _begin(self, size: int, at: int) -> bytes:
        """Begin with the audio, `size` bytes of it; return what is there from `at` on."""
        if self._found is None:
            raise AudioError("a WAV file must say its format before its audio")
        if self._format not in {None, self._found}:
            raise AudioError("WAV files that follow each other must have one format")
        rest, self._head = self._head[at:], b""
        self._format, self._left = self._found, sys.maxsize if size in UNKNOWN else size
        self._padded = size % 2 == 1
        return rest


def read_format(chunk: bytes) -> WavFormat:
    """Read a `fmt ` chunk. Raises AudioError for a format that is not served."""
    if len(chunk) < 16:
        raise AudioError(f"a WAV format has 16 bytes at least, got {len(chunk)}")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    encoding = ENCODINGS.get((tag, bits))
    if encoding is None:
        raise AudioError(f"WAV audio must be 16-bit PCM, 32-bit float, A-law or µ-law, got format {tag} of {bits} bits")
    if not (1 <= channels <= MAX_CHANNELS and MIN_RATE <= rate <= MAX_RATE):
        allowed = f"1 to {MAX_CHANNELS} channels at {MIN_RATE} to {MAX_RATE} Hz"
        raise AudioError(f"WAV audio must have {allowed}, got {channels} at {rate}")
    return WavFormat(encoding, rate, channels)
