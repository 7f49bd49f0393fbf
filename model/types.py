"""What travels between the daemon and the recognizer. Pure: numpy only, no torch.

Times are absolute sample indices at 16 kHz, counted from the start of the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Hertz; Whisper hears nothing else."""
HOP = 160
"""Samples between log-mel frames: 10 ms."""
WINDOW_SAMPLES = 30 * SAMPLE_RATE
"""Longest window Whisper can hear: 480,000 samples."""
SAMPLES_PER_TIMESTAMP = SAMPLE_RATE // 50
"""Samples per step of a timestamp token: 20 ms."""


class Task(StrEnum):
    """What the decoder is asked for."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word."""

    text: str
    """As decoded, with its leading space where the language writes one."""
    start: int
    end: int
    probability: float
    """Geometric mean over the word's tokens, in [0, 1]."""
    tokens: tuple[int, ...] = ()
    """Text tokens of the word, for prompts, prefixes and drafts."""
    attended: int | None = None
    """Sample index up to which the decoder looked when it wrote the word; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Words between two timestamp tokens."""

    start: int
    end: int | None
    """None while the segment is still open."""
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DecodeRequest:
    """Everything needed to decode one window of one stream; the recognizer may cache, but needs no other state."""

    stream: str
    """Names the stream, so that log-mel frames can be kept between requests."""
    start: int
    """Sample index of audio[0]; a multiple of HOP."""
    audio: Samples
    """At most WINDOW_SAMPLES, in [-1, 1]; never written to after the request is made."""
    prompt: tuple[int, ...] = ()
    """Text tokens of what was said before the window, oldest first."""
    context: str = ""
    """What the client said about the audio (names, topic): put before the prompt, as if it had been said."""
    prefix: tuple[Segment, ...] = ()
    """Committed words still in the window: forced. The last segment may be open."""
    draft: tuple[Segment, ...] = ()
    """Words guessed last time after the prefix: verified, never trusted. Continues the open segment of the prefix."""
    earlier: tuple[int, ...] = ()
    """Where the requests from the same start that were answered before ended, oldest first: positions of the audio that
    were computed for them may be used again, and what is heard then follows from these ends."""
    language: str | None = None
    """Code such as "en"; None asks for detection."""
    languages: tuple[str, ...] = ()
    """Codes that detection may choose from; empty for all that the model has."""
    task: Task = Task.TRANSCRIBE
    final: bool = False
    """Whether the audio is complete, so that nothing will be asked about it again."""
    attempt: int | None = None
    """Which attempt of the recognizer's plan to make, from 0; None for as many as are needed."""

    @property
    def end(self) -> int:
        """Sample index after the last sample."""
        return self.start + len(self.audio)


@dataclass(frozen=True, slots=True)
class DecodeStatistics:
    """What a decode cost, for metrics and benchmarks."""

    passes: int = 0
    """Decoder passes this row took part in."""
    draft_tokens: int = 0
    accepted_tokens: int = 0
    tokens: int = 0
    """New tokens after the prefix."""
    encoder_positions: int = 0
    """Of the context."""
    computed_positions: int = 0
    """That were computed: fewer where others were known, more where earlier updates had to be heard first."""
    batch: int = 1
    """Requests decoded together."""
    fallbacks: int = 0
    """Times a guard asked for another attempt."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was heard in a window, after the forced prefix."""

    start: int
    end: int
    """The audio it answers for, as in the request."""
    segments: tuple[Segment, ...]
    """Only what follows the prefix. If the prefix's last segment is open, the first one, if there is any, continues it:
    it has the open segment's start, and no words if the segment was closed at once."""
    language: str
    average_log_probability: float = 0.0
    no_speech_probability: float = 0.0
    compression_ratio: float = 1.0
    final: bool = False
    settled: bool = True
    """Whether no further attempt would be made; if not, the next one may be better."""
    trusted: bool = True
    """Whether no guard objected to it; of several attempts, one that is trusted is the answer."""
    loops: bool = False
    """Whether it has more repeated words than its audio could hold."""
    language_probability: float | None = None
    """How sure the detection of the language was; None if the language was given."""
    temperature: float = 0.0
    """At which it was drawn; 0 takes the likeliest token always."""
    statistics: DecodeStatistics = field(default_factory=DecodeStatistics)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order."""
        return tuple(word for segment in self.segments for word in segment.words)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a client may know of the model that is loaded."""

    name: str
    languages: tuple[str, ...]
    """Codes the model accepts, such as "en"; one for an English-only model."""
    device: str
    precision: str
    encoder_context: str
    """"full" or "dynamic"."""
    tasks: tuple[Task, ...] = tuple(Task)
    """Translation is into English: a model that knows nothing else has none."""


class Recognizer(Protocol):
    """The device, behind one method that takes a list."""

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        ...

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in order. Raises what the device raises; the engine isolates the guilty row."""
        ...

    def forget(self, stream: str) -> None:
        """Drop what is cached for a stream that has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was said in one recording."""

    segments: tuple[Segment, ...]
    language: str
    end: int
    """Samples of the recording."""


class Transcriber(Protocol):
    """A model that transcribes whole recordings."""

    @property
    def card(self) -> ModelCard:
        """What is loaded."""
        ...

    def transcribe(
        self,
        recordings: Sequence[Samples],
        *,
        language: str | None = None,
        task: Task = Task.TRANSCRIBE,
        prompt: str = "",
        progress: Callable[[Sequence[int]], None] | None = None,
    ) -> list[Transcription]:
        """Transcribe recordings, (n,) float32 mono at 16 kHz, of any length, all at once.

        language: a code of `card.languages`, None to hear it in the first 30 s of each; prompt: names and topics that
        may occur; progress: called with the sample index up to which each is decided.
        """
        ...
