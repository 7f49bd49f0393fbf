"""When each word was said: the path through the attention, the timestamps, and where there is sound, reconciled.

Each source has its strength. The path (`align.py`) knows where one word gives way to the next, but gives the pause
between them to either. Timestamps know where a segment starts and ends. Sound says where a pause is, but not whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from model.align import align_tokens
from model.audio.loudness import Loudness
from model.decoding.rows import Decoded
from model.types import SAMPLE_RATE, SAMPLES_PER_TIMESTAMP, DecodeRequest

SHORTEST_WORD = SAMPLES_PER_TIMESTAMP
"""Samples a word lasts at least where there is room: one position of the encoder."""
TRUST = SAMPLE_RATE // 2
"""Samples by which the timestamp at the end of a segment may be later than the path."""
CONTEXT_WORDS = 2
"""Words of the prefix that are aligned again, so that the first new word need not start where the path does."""


class WordTimer:
    """Places words in time, in order, within the audio and after what was placed before."""

    def __init__(
        self, starts: Sequence[int], now: int, end: int, sound: Loudness, peaks: Sequence[int] | None = None
    ) -> None:
        """Place words between `now` and `end`.

        starts: where each token starts, and where the last one ends; peaks: up to where the decoder looked when it
        wrote each token, None if that is not known. All are sample indices.
        """
        self._starts = starts
        self._peaks = peaks
        self._now = now
        self._end = end
        self._sound = sound

    @classmethod
    def of_request(cls, request: DecodeRequest, prefix: Sequence[int], decoded: Decoded, timestamp_begin: int) -> Self:
        """Place the words of one decode. prefix: the tokens that were forced.

        Raises RuntimeError if no attention was recorded.
        """
        ends = [word.end for segment in request.prefix for word in segment.words]
        now = min(max([request.start, *ends]), request.end)
        sound = Loudness(now, request.audio[now - request.start :])
        starts, peaks = _token_places(request, prefix, decoded, timestamp_begin)
        return cls(starts, now, request.end, sound, peaks)

    def attended(self, index: int, after: int) -> int | None:
        """Return the sample index up to which the decoder looked when it wrote tokens index..after."""
        return None if self._peaks is None else max(self._peaks[index:after])

    def place(self, index: int, after: int, *, opened: int | None, closed: int | None) -> tuple[int, int]:
        """Return start and end of the word of tokens index..after; words are asked for in order.

        opened: where its segment starts, if it is the first one in it; closed: where the segment ends, if the last.
        """
        start, path_end = self._starts[index], self._starts[after]
        end = self._sound.nearest_pause(path_end)
        # The path gives the pause before a segment to its first word and leaves its last one early.
        if closed is not None and start < closed <= path_end + TRUST:
            end = closed
        if opened is None:
            start = self._sound.nearest_pause(start)
        elif opened < end:
            start = max(start, opened)
        start, end = self._sound.trim(start, end)
        start = min(max(start, self._now), max(self._end - SHORTEST_WORD, self._now))
        self._now = min(max(end, start + SHORTEST_WORD), self._end)
        return start, self._now


def _token_places(
    request: DecodeRequest, prefix: Sequence[int], decoded: Decoded, timestamp_begin: int
) -> tuple[list[int], list[int]]:
    """Return the sample indices at which each decoded token starts and the last one ends, and those of its peaks."""
    if decoded.attention is None:
        raise RuntimeError("words need times, but no alignment head was recorded")
    row, place = _alignment_start(request, prefix, timestamp_begin)
    end = -(-len(request.audio) // SAMPLES_PER_TIMESTAMP)
    found = align_tokens(decoded.attention, row, place, end)
    new = len(prefix) - row
    starts = [request.start + int(position) * SAMPLES_PER_TIMESTAMP for position in found.starts[new:]]
    peaks = [request.start + (int(position) + 1) * SAMPLES_PER_TIMESTAMP for position in found.peaks[new:]]
    if len(starts) == len(decoded.tokens):  # without the end of text nothing says where the last token stops
        starts.append(request.end)
    return starts, [min(peak, request.end) for peak in peaks]


def _alignment_start(request: DecodeRequest, prefix: Sequence[int], timestamp_begin: int) -> tuple[int, int]:
    """Return the token and the encoder position from which on tokens are aligned: a little before the new ones."""
    known = [word for segment in request.prefix for word in segment.words][-CONTEXT_WORDS:]
    if not known:
        return 0, 0
    left = sum(len(word.tokens) for word in known)
    row = len(prefix)
    while left and row:  # timestamps between the words count for nothing
        row -= 1
        left -= prefix[row] < timestamp_begin
    return row, max(0, (known[0].start - request.start) // SAMPLES_PER_TIMESTAMP)
