"""Long form: a whole recording, window by window, each told what was said before it.

A window of 30 s is decoded as a complete one; the next begins where the last complete segment ended, so that no word is
cut. Only one window of audio is held, whatever the length of the recording.

Source: Radford et al. 2022, section 4.5; openai/whisper transcribe.py for where a window ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from model.types import (
    HOP,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    DecodeRequest,
    Hypothesis,
    Recognizer,
    Samples,
    Segment,
    Task,
    Word,
)

QUIET = 1e-4
"""Peak, -80 dBFS, below which a window is not decoded at all."""
OVERLAP = SAMPLE_RATE
"""Silence at the end of a window that the next one hears again: a word may be beginning there."""
ONSET = SAMPLE_RATE // 5
"""Samples before a word that belong to it: times are not that exact."""
PROMPT_TOKENS = 223
UNSURE = 3
"""Attempts beyond the first after which a text is too doubtful to lead the next window."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What one window added."""

    segments: tuple[Segment, ...]
    """Complete, with times in the recording; none where nothing was said."""
    end: int
    """Sample index up to which everything is decided."""
    language: str | None
    """As given or heard; None while nothing has been heard."""


def transcribe(
    recognizer: Recognizer,
    blocks: Iterable[Samples],
    *,
    language: str | None = None,
    task: Task = Task.TRANSCRIBE,
    context: str = "",
    stream: str = "recording",
) -> Iterator[Passage]:
    """Transcribe a recording of any length.

    blocks: the recording in pieces of any length, (n,) float32 mono at 16 kHz, read as they are needed; language: None
    takes the one heard in the first window with words; stream: a name no other stream of the recognizer has.
    Yields a passage for each window; the last one's `end` is the length of the recording. Raises ValueError for a block
    of another shape or type, or whatever the recognizer raises.
    """
    tape = _Tape(blocks)
    prompt: tuple[Word, ...] = ()
    try:
        while len(audio := tape.read()):
            start = tape.start
            if np.abs(audio).max() < QUIET:
                tape.seek(tape.end)
                yield Passage((), tape.end, language)
                continue
            request = DecodeRequest(
                stream, start, audio, _tokens(prompt), context, language=language, task=task, final=True
            )
            (hypothesis,) = recognizer.transcribe([request])
            segments, end = settle(hypothesis, ended=tape.ended)
            if segments:
                language = hypothesis.language
            words = tuple(word for segment in segments for word in segment.words)
            prompt = () if hypothesis.statistics.fallbacks >= UNSURE else (*prompt, *words)[-PROMPT_TOKENS:]
            tape.seek(end)
            yield Passage(segments, end, language)
    finally:
        recognizer.forget(stream)


def settle(hypothesis: Hypothesis, *, ended: bool) -> tuple[tuple[Segment, ...], int]:
    """Return the segments of a window that are complete, and where the next window starts.

    ended: whether no audio follows; then everything is complete.
    """
    segments = tuple(segment for segment in hypothesis.segments if segment.words)
    if ended or not segments:
        end = hypothesis.end if ended else _advance(hypothesis, hypothesis.end - OVERLAP)
        return tuple(map(_closed, segments)), end
    last = segments[-1]
    if last.end is not None:
        return segments, _advance(hypothesis, max(last.end, hypothesis.end - OVERLAP))
    if len(segments) > 1:
        whole = tuple(map(_closed, segments[:-1]))
        return whole, _advance(hypothesis, whole[-1].end or hypothesis.end)
    # One segment runs to the end of the window: its last word may be cut, and is heard again with what is before it.
    kept, cut = last.words[:-1], last.words[-1]
    if cut.start <= (hypothesis.start + hypothesis.end) // 2:
        return (_closed(last),), hypothesis.end
    place = max(cut.start - ONSET, kept[-1].end if kept else hypothesis.start)
    return ((_closed(replace(last, words=kept)),) if kept else ()), _advance(hypothesis, place)


def _advance(hypothesis: Hypothesis, wanted: int) -> int:
    """Return where the next window starts: on the frame grid, inside this one, and at least a second further."""
    least = min(hypothesis.start + SAMPLE_RATE, hypothesis.end)
    return min(max(wanted - wanted % HOP, least), hypothesis.end)


def _closed(segment: Segment) -> Segment:
    """Return the segment with an end."""
    return replace(segment, end=segment.words[-1].end) if segment.end is None else segment


def _tokens(words: tuple[Word, ...]) -> tuple[int, ...]:
    """Return as many whole words from the end as fit a prompt."""
    tokens: tuple[int, ...] = ()
    for word in reversed(words):
        if len(tokens) + len(word.tokens) > PROMPT_TOKENS:
            break
        tokens = word.tokens + tokens
    return tokens


class _Tape:
    """Reads a recording through a window of 30 s that only moves forward."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = iter(blocks)
        self._held: Samples = np.zeros(0, dtype=np.float32)
        self.start = 0
        """Sample index of the window."""
        self._dry = False

    @property
    def end(self) -> int:
        """Sample index after the window."""
        return self.start + min(len(self._held), WINDOW_SAMPLES)

    @property
    def ended(self) -> bool:
        """Whether nothing follows the window."""
        return self._dry and len(self._held) <= WINDOW_SAMPLES

    def read(self) -> Samples:
        """Return the window: 30 s, or what is left."""
        parts, count = [self._held] if len(self._held) else [], len(self._held)
        # One sample more than a window tells whether anything follows it.
        while not self._dry and count <= WINDOW_SAMPLES:
            block = next(self._blocks, None)
            if block is None:
                self._dry = True
                break
            if block.ndim != 1 or block.dtype != np.float32:
                raise ValueError(f"audio must be (n,) float32, got {block.shape} {block.dtype}")
            if len(block):
                parts.append(block)
                count += len(block)
        if parts:  # a single one, perhaps the whole recording, is not copied
            self._held = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self._held[:WINDOW_SAMPLES]

    def seek(self, place: int) -> None:
        """Move the window's start to a sample index within it, or to its end."""
        self._held = self._held[place - self.start :]
        self.start = place
