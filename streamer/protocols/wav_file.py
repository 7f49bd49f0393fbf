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
    """Finds the samples. What follows them is none of them, but for those of another file of the same format."""

    def __init__(self) -> None:
        self._head = b""
        self._format: WavFormat | None = None
        self._left = 0  # bytes of audio that are still to come

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
        self._head = (self._head + data).lstrip(b"\0")  # which fill up what has an odd number of bytes
        if self._format is None and not (b"RIFF".startswith(self._head[:4]) and b"WAVE".startswith(self._head[8:12])):
            raise AudioError("audio without an encoding must be a WAV file: RIFF, WAVE")
        found, at = self._format, 0
        while at + 8 <= len(self._head):
            name, size = struct.unpack_from("<4sI", self._head, at)
            if name == b"RIFF":
                size = 4  # all the others are in it
            if name == b"data":
                return self._begin(found, size, at + 8)
            if at + 8 + size > min(len(self._head), MAX_HEADER_BYTES):
                break
            if name == b"fmt ":
                found = read_format(self._head[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        if len(self._head) > MAX_HEADER_BYTES:
            if self._format is None:
                raise AudioError(f"a WAV header may have {MAX_HEADER_BYTES} bytes")
            self._head = b""
        return b""

    def _begin(self, found: WavFormat | None, size: int, at: int) -> bytes:
        """Begin with the audio, `size` bytes of it; return what is there from `at` on."""
        if found is None:
            raise AudioError("a WAV file must say its format before its audio")
        if self._format not in {None, found}:
            raise AudioError("WAV files that follow each other must have one format")
        rest, self._head = self._head[at:], b""
        self._format, self._left = found, sys.maxsize if size in UNKNOWN else size
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
