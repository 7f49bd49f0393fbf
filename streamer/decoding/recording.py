"""A file as sound, in the child: measured by decoding it, then read again block by block.

What a header claims is believed in nothing but the rate and the number of channels, and in these only within bounds: a
file of a few megabytes may claim, and hold, days of silence. So the whole file is decoded once before anything is
promised, in blocks, up to the limits; that costs a few thousandths of what recognition costs, needs no memory, and lets
a damaged or endless file be refused with a status of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from model.types import SAMPLE_RATE, Samples
from streamer.core.audio import MAX_CHANNELS
from streamer.decoding.messages import Objection, UnfitError
from streamer.sound import Sound, SoundError, readable_formats

MIN_RATE, MAX_RATE = 4_000, 384_000
"""Hertz; the rate is what a block's memory is reckoned with."""
BLOCK_S = 1.0
Opener = Callable[[BinaryIO], Sound]


class Recording:
    """One file."""

    def __init__(self, file: BinaryIO, open_sound: Opener = Sound) -> None:
        """`file` can seek; it stays open. `open_sound` raises SoundError."""
        self._file = file
        self._open_sound = open_sound

    def measure(self, max_audio_s: float) -> int:
        """Decode everything; return its length in samples at 16 kHz.

        Raises UnfitError for what cannot be read, is empty, or has more than `max_audio_s`.
        """
        frames = 0
        sound = self._open()
        try:
            for block in sound.read(BLOCK_S):
                frames += len(block)
                if frames > max_audio_s * sound.rate:
                    raise UnfitError(Objection.LONG, f"a recording may last {max_audio_s:g} s")
        except SoundError as error:
            complaint = f"the file is damaged after {frames / sound.rate:.1f} s: {error}"
            raise UnfitError(Objection.DAMAGED, complaint) from None
        finally:
            sound.close()
        if not frames:
            raise UnfitError(Objection.EMPTY, "the file holds no audio")
        return -(-frames * SAMPLE_RATE // sound.rate)

    def blocks(self) -> Iterator[Samples]:
        """Yield it as float32 at 16 kHz, a second at a time.

        Raises UnfitError, although it could be read before: a file is what its bytes are.
        """
        sound = self._open()
        try:
            yield from sound.blocks(BLOCK_S)
        except SoundError as error:
            raise UnfitError(Objection.DAMAGED, f"the file is damaged: {error}") from None
        finally:
            sound.close()

    def _open(self) -> Sound:
        self._file.seek(0)
        try:
            sound = self._open_sound(self._file)
        except SoundError as error:
            formats = ", ".join(readable_formats())
            complaint = f"the file cannot be read as audio ({error}); readable are: {formats}"
            raise UnfitError(Objection.UNSUPPORTED, complaint) from None
        if not (MIN_RATE <= sound.rate <= MAX_RATE and sound.channels <= MAX_CHANNELS):
            found = f"{sound.rate} Hz with {sound.channels} channels"
            sound.close()
            allowed = f"{MIN_RATE} to {MAX_RATE} Hz and at most {MAX_CHANNELS} channels"
            raise UnfitError(Objection.UNSUPPORTED, f"audio must have {allowed}, got {found}")
        return sound
