"""What a streaming system said and when, on the stream's own time line: the form in which systems are compared.

A system is given recorded speech and simulates hearing it live. Two clocks are kept for everything it says. The
computation-unaware one counts audio only: how much of the stream the system had been given. The computation-aware one
adds what its work costs: it starts on new audio when it is free, and answers when the CPU seconds of the work are over.
The difference of the two separates the engine's speed from the policy's patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.speech import Speech


@dataclass(frozen=True, slots=True)
class Emission:
    """One message of a system."""

    audio: float
    """Seconds of the stream the system had been given (computation-unaware)."""
    at: float
    """Seconds of stream time at which it was said (computation-aware); at least `audio`."""
    committed: tuple[str, ...] = ()
    """Words said for good, lower case, without punctuation, after all those committed before."""
    shown: tuple[str, ...] = ()
    """Words shown after the committed ones that may still change; empty for a system that shows none."""
    rewritten: int = 0
    """Words, counted from the end of those committed before, that this message takes back or changes; must be 0."""
    final: bool = False
    """Whether it ends an utterance."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a system made of one stream."""

    emissions: tuple[Emission, ...]
    busy: float
    """CPU seconds of all its work."""
    updates: int
    """Times it decoded."""
    passes: int | None = None
    """Decoder passes, where the system counts them."""


class System(Protocol):
    """One program with one policy and its settings."""

    @property
    def name(self) -> str:
        """Short name for the table."""
        ...

    @property
    def settings(self) -> str:
        """What was set, for the table; the program's version too."""
        ...

    def run(self, speech: Speech) -> Run:
        """Hear one stream from its beginning to its end, with fresh state."""
        ...
