"""Whose request it is that takes the device down. Pure.

Theory of operation. When the device is lost under a batch, nobody knows which row did it, or whether any did. So each
is tried alone, those first that were on fewest lost devices: the innocent are served before the guilty can do it again.
An answer acquits. Whoever was alone on lost devices MOST_LOST times in a row is guilty: that request is given up, as
its session asks once more and then leaves a gap. A stream that has cost its session audio so is decoded alone for as
long as it lasts, after the others, and has one device to lose at a time; after MOST_CONVICTIONS it is not decoded any
more, for every device it loses costs everybody seconds.

A device may also be lost for no fault of a request (the kernel short of memory kills what is largest), several times in
a row on a bad day; hence not at the first time. And it may be away for minutes, in which whoever speaks loses it. That
is told by a trial, which is silence (`health.py`): if it is guilty of losing the device, nobody is, nor was before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from streamer.core.dialogue import FAILURES_UNTIL_GAP
from streamer.recognition.health import TRIAL

MOST_LOST = 2
"""Devices that a request may lose alone."""
MOST_CONVICTIONS = 6
"""Requests of one stream that are given up for losing devices."""


class Suspects:
    """What is known against streams; bounded by the streams that are open, as `forget` is told of those that end."""

    def __init__(self) -> None:
        """Suspect nobody."""
        self._lost: Counter[str] = Counter()
        self._alone: Counter[str] = Counter()
        self._convictions: Counter[str] = Counter()

    def divide(self, streams: Sequence[str]) -> list[list[int]]:
        """Return the batches to make of rows of these streams, as indices: the innocent together, then each suspect."""
        innocent = [index for index, stream in enumerate(streams) if not self._is_suspect(stream)]
        suspects = [index for index, stream in enumerate(streams) if self._is_suspect(stream)]
        suspects.sort(key=lambda index: (self._convictions[streams[index]], self._lost[streams[index]]))
        return [part for part in (innocent, *([index] for index in suspects)) if part]

    def is_shunned(self, stream: str) -> bool:
        """Say whether requests of a stream are not to be tried any more."""
        return self._convictions[stream] >= MOST_CONVICTIONS

    def acquit(self, streams: Iterable[str]) -> None:
        """Take note that requests of these streams were answered."""
        for stream in streams:
            self._lost.pop(stream, None)
            self._alone.pop(stream, None)

    def accuse(self, streams: Sequence[str]) -> bool:
        """Take note that the device was lost under a batch; return whether it was the last time for its only row."""
        self._lost.update(streams)
        if len(streams) > 1:
            return False
        (stream,) = streams
        self._alone[stream] += 1
        if self._alone[stream] < (1 if self._is_convict(stream) else MOST_LOST):
            return False
        if stream == TRIAL:
            self._pardon()
            return True
        self._convictions[stream] += 1
        del self._alone[stream]
        return True

    def forget(self, stream: str) -> None:
        """Drop what is known of a stream that has ended."""
        for known in (self._lost, self._alone, self._convictions):
            known.pop(stream, None)

    def _pardon(self) -> None:
        for known in (self._lost, self._alone, self._convictions):
            known.clear()

    def _is_suspect(self, stream: str) -> bool:
        return bool(self._lost[stream]) or self._is_convict(stream)

    def _is_convict(self, stream: str) -> bool:
        return self._convictions[stream] >= FAILURES_UNTIL_GAP
