"""The header of a WAV file that arrives in pieces. Source: RIFF, Microsoft's WAVEFORMATEX and WAVEFORMATEXTENSIBLE."""

from __future__ import annotations

import struct
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


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the header says."""

    encoding: Encoding
    rate: int
    channels: int


class WavHeader:
    """Collects bytes until the samples begin."""

    def __init__(self) -> None:
        self._head = b""

    def receive(self, data: bytes) -> tuple[WavFormat, bytes] | None:
        """Take bytes; return the format and the first bytes of audio, None while the header goes on.

        Raises AudioError for anything but a WAV file of a format that can be read.
        """
        self._head += data
        if not b"RIFF".startswith(self._head[:4]) or not b"WAVE".startswith(self._head[8:12]):
            raise AudioError("audio without an encoding must be a WAV file: RIFF, WAVE")
        found: WavFormat | None = None
        at = 12
        while at + 8 <= len(self._head):
            name, size = struct.unpack_from("<4sI", self._head, at)
            if name == b"data":
                if found is None:
                    raise AudioError("a WAV file must say its format before its audio")
                return found, self._head[at + 8 :]
            if at + 8 + size > min(len(self._head), MAX_HEADER_BYTES):
                break
            if name == b"fmt ":
                found = read_format(self._head[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        if len(self._head) > MAX_HEADER_BYTES:
            raise AudioError(f"a WAV header may have {MAX_HEADER_BYTES} bytes")
        return None


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
