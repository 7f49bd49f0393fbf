"""Times read off the timestamp tokens of a transcript, of one window or of several in a row.

In long transcripts the tokens of one window follow those of another; each window's timestamps start anew at its own
beginning, so a timestamp that is lower than the highest one before it opens a window.
Source: transformers tokenization_whisper.py, `_compute_offsets` and `_decode_with_timestamps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

WINDOW = 1500
"""Timestamp steps in a window."""


def segment_offsets(
    tokens: Sequence[int], begin: int, precision: float, decode: Callable[[list[int]], str], window: int = WINDOW
) -> list[dict[str, Any]]:
    """Return text and `timestamp` (start, end), in seconds, of everything between two timestamps.

    begin: id of the first timestamp token; precision: seconds a step.
    """
    stamps = [at for at, token in enumerate(tokens) if token >= begin]
    if len(stamps) <= 1:
        return []
    ends = [at for before, at in pairwise(stamps) if at == before + 1]
    offsets = []
    highest = passed = 0
    start = stamps[0]
    for end in [*ends, stamps[-1] + 1]:
        segment = list(tokens[start:end])
        if len(segment) > 1:
            first, last = segment[0] - begin, segment[-1] - begin
            if first < highest:
                passed += window if _single_ending(tokens, start, begin) else highest
            highest = last
            times = (first * precision + passed * precision, last * precision + passed * precision)
            offsets.append({"text": decode(segment), "timestamp": times})
        start = end
    return offsets


def annotate(
    tokens: Sequence[int], begin: int, precision: float, decode: Callable[[list[int]], str], window: int = WINDOW
) -> str:
    """Return the text with timestamps written out, counted from the start of the first window, as `<|31.08|>`.

    Where a window opens after two timestamps in a row, the second of them is left out: the next window's says the same.
    """
    runs: list[list[int]] = [[]]
    times: list[float] = []
    highest = before = passed = 0.0
    for at, token in enumerate(tokens):
        if token < begin:
            runs[-1].append(token)
            continue
        time = float((token - begin) * precision)
        if time < highest:
            if _single_ending(tokens, at, begin):
                passed += precision * window
            else:
                highest = before
                passed += before
                times.pop()
                runs.pop()
        before, highest = highest, time
        times.append(time + passed)
        runs.append([])
    texts = [decode(run) if run else "" for run in runs]
    return texts[0] + "".join(f"<|{time:.2f}|>{text}" for time, text in zip(times, texts[1:], strict=True))


def _single_ending(tokens: Sequence[int], at: int, begin: int) -> bool:
    """Say whether the window that ends before `at` does so with one timestamp, or none: it was heard to its end."""
    return at >= 2 and not (tokens[at - 1] >= begin and tokens[at - 2] >= begin)
