"""An upload as sound: measured by decoding it, then read again block by block as recognition goes on.

What a header claims is believed in nothing but the rate and the number of channels, and in these only within bounds: a
file of a few megabytes may claim, and hold, days of silence. So the whole file is decoded once before anything is
promised, in blocks, up to the limits; that costs a few thousandths of what recognition costs, needs no memory, and lets
a damaged or endless file be refused with a status of its own.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import BinaryIO

from model.types import SAMPLE_RATE, Samples
from streamer.audio import MAX_CHANNELS
from streamer.http.blocking import Stopped
from streamer.http.errors import ApiError, invalid
from streamer.http.form import FILE
from streamer.sound import Sound, SoundError, readable_formats

MIN_RATE, MAX_RATE = 4_000, 384_000
"""Hertz; the rate is what a block's memory is reckoned with."""
BLOCK_S = 1.0


class Recording:
    """One file. Its methods block, and are called in a thread, one at a time."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` can seek and is at its beginning; it stays open."""
        self._file = file

    def measure(self, max_audio_s: float, timeout_s: float, stopped: Stopped) -> int:
        """Decode everything; return its length in samples at 16 kHz.

        Raises ApiError for what cannot be read, is empty, or has more than `max_audio_s`; for what takes longer than
        `timeout_s`; and when it is `stopped`.
        """
        late = time.monotonic() + timeout_s
        frames = 0
        sound = self._open()
        try:
            for block in sound.read(BLOCK_S):
                frames += len(block)
                if frames > max_audio_s * sound.rate:
                    raise ApiError(413, "audio_too_long", f"a recording may last {max_audio_s:g} s", param=FILE)
                if stopped() or time.monotonic() > late:
                    complaint = f"decoding the file takes longer than {timeout_s:g} s; send it as WAV or in parts"
                    raise ApiError(413, "audio_too_costly", complaint, param=FILE)
        except SoundError as error:
            raise invalid(FILE, f"the file is damaged after {frames / sound.rate:.1f} s: {error}") from None
        finally:
            sound.close()
        if not frames:
            raise invalid(FILE, "the file holds no audio", "audio_too_short")
        return -(-frames * SAMPLE_RATE // sound.rate)

    def blocks(self) -> Generator[Samples]:
        """Yield it as float32 at 16 kHz, a second at a time; close the iterator in the thread that reads it.

        Raises ApiError, although it could be read before: a file is what its bytes are.
        """
        sound = self._open()
        try:
            yield from sound.blocks(BLOCK_S)
        except SoundError as error:
            raise invalid(FILE, f"the file is damaged: {error}") from None
        finally:
            sound.close()

    def _open(self) -> Sound:
        self._file.seek(0)
        try:
            sound = Sound(self._file)
        except SoundError as error:
            formats = ", ".join(readable_formats())
            raise invalid(
                FILE, f"the file cannot be read as audio ({error}); readable are: {formats}", "unsupported_format"
            ) from None
        if not (MIN_RATE <= sound.rate <= MAX_RATE and sound.channels <= MAX_CHANNELS):
            found = f"{sound.rate} Hz with {sound.channels} channels"
            sound.close()
            raise invalid(
                FILE,
                f"audio must have {MIN_RATE} to {MAX_RATE} Hz and at most {MAX_CHANNELS} channels, got {found}",
                "unsupported_format",
            )
        return sound
