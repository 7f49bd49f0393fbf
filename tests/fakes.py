"""A language of loudness: each word is a stretch of constant level, so that what was said is known to the sample.

`speak` writes it, `LevelRecognizer` reads it, `LevelVad` hears it. The reader behaves like a real one where it matters:
it hears only its window, guesses wrongly at a word that the end of the window cuts (another guess each time), and
spoils a word that the start of the window cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.types import (
    SAMPLE_RATE,
    DecodeRequest,
    DecodeStatistics,
    Hypothesis,
    ModelCard,
    Samples,
    Segment,
    Task,
    Transcription,
    Word,
)

WORD_SAMPLES = SAMPLE_RATE * 3 // 10
GAP_SAMPLES = SAMPLE_RATE // 20
PAUSE_SAMPLES = SAMPLE_RATE // 2
LEVELS = 40
STEP = 0.02
FLOOR = 0.1


def level(word: int) -> float:
    """Return the loudness that means word number `word`, 0 to LEVELS - 1."""
    if not 0 <= word < LEVELS:
        raise ValueError(f"word must be in 0..{LEVELS - 1}, got {word}")
    return FLOOR + STEP * word


def silence(samples: int) -> Samples:
    """Return that many zeros."""
    return np.zeros(samples, dtype=np.float32)


def speak(words: Iterable[int], gap: int = GAP_SAMPLES) -> Samples:
    """Return the audio of words with `gap` samples of silence after each."""
    parts: list[Samples] = []
    for word in words:
        parts += [np.full(WORD_SAMPLES, level(word), dtype=np.float32), silence(gap)]
    return np.concatenate(parts) if parts else silence(0)


class LevelVad:
    """Hears speech wherever it is loud."""

    def __call__(self, frame: Samples) -> float:
        """Return 1.0 if any of the frame is loud."""
        return float(max(frame.max(), -frame.min()) >= FLOOR / 2)


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of constant level."""

    start: int
    end: int
    level: float


def runs(audio: Samples) -> Iterator[Run]:
    """Find the loud stretches of constant level."""
    levels = np.rint((audio - FLOOR) / STEP)
    levels[np.abs(audio) < FLOOR / 2] = -1
    edges = np.flatnonzero(levels[1:] != levels[:-1]) + 1
    bounds = [0, *edges.tolist(), len(audio)]
    for start, end in pairwise(bounds):
        if end > start and levels[start] >= 0:
            yield Run(start, end, FLOOR + STEP * float(levels[start]))


class LevelRecognizer:
    """Reads levels; deterministic in the request alone. Overridable: `spell` says how a word is written this time."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.requests: list[DecodeRequest] = []
        self.forgotten: list[str] = []

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        return ModelCard("levels", ("en", "de"), "cpu", "float32", "full")

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request."""
        self.batches.append(len(batch))
        self.requests += batch
        return [self.answer(request, len(batch)) for request in batch]

    def forget(self, stream: str) -> None:
        """Note who left."""
        self.forgotten.append(stream)

    def spell(self, word: int, request: DecodeRequest) -> str:
        """Return the text of a word, with its leading space."""
        del request
        return f" w{word}"

    def answer(self, request: DecodeRequest, size: int = 1) -> Hypothesis:
        """Read one window."""
        words = list(self.words(request))
        known = [word for segment in request.prefix for word in segment.words]
        if [word.tokens for word in words[: len(known)]] != [word.tokens for word in known]:
            said = [word.text for word in words]
            raise AssertionError(f"the prefix {[word.text for word in known]} is not what {said} begins with")
        segments = list(group(words, known, request))
        return Hypothesis(
            start=request.start,
            end=request.end,
            segments=tuple(segments),
            language=request.language or "en",
            average_log_probability=-0.1,
            final=request.final,
            statistics=DecodeStatistics(passes=1, tokens=len(words) - len(known), batch=size),
        )

    def words(self, request: DecodeRequest) -> Iterator[Word]:
        """Read every word of the window, prefix included."""
        audio = request.audio
        for run in runs(audio):
            number = round((run.level - FLOOR) / STEP)
            text, tokens = self.spell(number, request), (number,)
            if run.end == len(audio) and run.end - run.start < WORD_SAMPLES:
                length = run.end - run.start
                text, tokens = f" cut{length}", (1000 + length,)
            elif run.start == 0 and run.end - run.start < WORD_SAMPLES:
                text, tokens = " spoilt", (999,)
            yield Word(text, request.start + run.start, request.start + run.end, 0.9, tokens)


def group(words: list[Word], known: list[Word], request: DecodeRequest) -> Iterator[Segment]:
    """Make segments at pauses; the first continues the prefix's open segment if there is one."""
    is_open = bool(request.prefix) and request.prefix[-1].end is None
    current: list[Word] = []
    begun = request.prefix[-1].start if is_open else None
    last = known[-1].end if known else None
    for word in words[len(known) :]:
        if last is not None and word.start - last >= PAUSE_SAMPLES and (current or begun is not None):
            yield Segment(current[0].start if begun is None else begun, last, tuple(current))
            current, begun = [], None
        current.append(word)
        last = word.end
    if current or begun is not None:
        start = begun if begun is not None else current[0].start
        yield Segment(start, None if last is None or last >= request.end else last, tuple(current))


class LevelTranscriber:
    """Reads the levels of whole recordings, one segment a recording."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        return LevelRecognizer().card

    def transcribe(
        self,
        recordings: Sequence[Samples],
        *,
        language: str | None = None,
        task: Task = Task.TRANSCRIBE,
        prompt: str = "",
        progress: Callable[[Sequence[int]], None] | None = None,
    ) -> list[Transcription]:
        """Read each recording."""
        del task, prompt
        self.batches.append(len(recordings))
        if progress is not None:
            progress([0] * len(recordings))
        return [Transcription(self._segments(audio), language or "en", len(audio)) for audio in recordings]

    @staticmethod
    def _segments(audio: Samples) -> tuple[Segment, ...]:
        words = tuple(
            Word(f" w{round((run.level - FLOOR) / STEP)}", run.start, run.end, 0.9, (1,)) for run in runs(audio)
        )
        return (Segment(words[0].start, words[-1].end, words),) if words else ()
