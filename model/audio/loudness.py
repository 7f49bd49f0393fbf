"""Where in a stretch of audio there is sound: word times from attention include the pauses between words."""

from __future__ import annotations

import numpy as np

from model.types import HOP, Samples

REACH = 8
"""Cells within which a boundary is moved into a pause: 80 ms."""
QUIET = 10 ** (-35 / 10)
"""Power below this part of a word's loudest moment is pause: 35 dB. Where noise is louder than that, nothing is cut."""


class Loudness:
    """Power of audio in cells of 10 ms."""

    def __init__(self, start: int, audio: Samples) -> None:
        """start: sample index of audio[0]; a rest shorter than a cell is left out."""
        self._start = start
        cells = audio[: len(audio) - len(audio) % HOP].reshape(-1, HOP)
        self._power = np.einsum("ij,ij->i", cells, cells)

    def trim(self, start: int, end: int) -> tuple[int, int]:
        """Return the interval without the quiet at its ends; as it is if it is all quiet or out of range."""
        first = max(0, (start - self._start) // HOP)
        power = self._power[first : max(first, -(-(end - self._start) // HOP))]
        loud = np.flatnonzero(power > QUIET * power.max()) if len(power) else power
        if not len(loud):
            return start, end
        place = self._start + first * HOP
        return max(start, place + int(loud[0]) * HOP), min(end, place + (int(loud[-1]) + 1) * HOP)

    def nearest_pause(self, time: int) -> int:
        """Return the middle of the quiet cell nearest to a time, or the time if none is within 80 ms."""
        at = (time - self._start) // HOP
        first = max(0, at - REACH)
        power = self._power[first : at + REACH + 1] if at >= 0 else self._power[:0]
        quiet = np.flatnonzero(power <= QUIET * power.max()) if len(power) else power
        if not len(quiet):
            return time
        nearest = first + int(quiet[np.abs(first + quiet - at).argmin()])
        return time if nearest == at else self._start + nearest * HOP + HOP // 2
