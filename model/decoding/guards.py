"""When to distrust a decode: silence that was given words, loops, and guesses nobody would make.

Nothing here edits text. A hypothesis is taken, taken as silence, or decoded again, because words that are really said
twice must come out twice: "no, no, no" is speech, forty "the" in two seconds are not.

Source: openai/whisper transcribe.py for the thresholds; Radford et al. 2022, section 4.5.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from model.types import SAMPLE_RATE, Word


class Verdict(Enum):
    """What is to become of a hypothesis."""

    TAKE = auto()
    SILENCE = auto()
    """There was no speech: its words are not taken."""
    RETRY = auto()
    """Try another way; if nothing better comes, the best attempt is taken."""
    RETRY_GREEDILY = auto()
    """Repetitive, yet at the pace of speech: worth more context and less prompt, not worth drawing at random."""

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the hypothesis, or against there having been none."""
        return self in {Verdict.TAKE, Verdict.SILENCE}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one attempt beside its words."""

    final: bool
    """Whether it answers for audio that is complete."""
    fresh: bool
    """Whether no text was forced before its words, so that the no-speech probability speaks of them."""
    loops: bool
    """From `is_loop` or the decoder."""
    no_speech: float
    log_probability: float
    """Average over the tokens."""
    compression: float
    """From `compression_ratio`."""
    spared: bool = False
    """Whether the encoder was shown less than 30 s, or did not compute all that it was shown."""
    cut: bool = False
    """Whether the limit of tokens ended it."""


@dataclass(frozen=True, slots=True)
class Guards:
    """Thresholds; the defaults are those of the reference for released Whisper models."""

    no_speech: float = 0.6
    """No-speech probability above which a hypothesis of low probability is silence."""
    log_probability: float = -1.0
    """Average log-probability below which a final hypothesis is tried again."""
    compression: float = 2.4
    """Ratio of text to its zlib size above which a hypothesis is too repetitive, if it is final or the encoder was
    spared work."""
    sure_end: float = 0.0
    """Probability of the end of text below which it is asked whether a final text, if decoded greedily, has ended
    too early (`endings.py`); 0 for never: what it is at true ends differs from model to model."""
    sure_words: float = 0.9
    """Probability that each token of text which is heard behind such an end has to exceed, and so has its own end."""
    temperatures: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in turn for a final hypothesis that fails."""
    partial_temperatures: tuple[float, ...] = ()
    """The same for a partial one, which only a loop makes fail. None: neighbours would wait, and more audio comes."""
    loop_copies: int = 4
    """Copies of one phrase in a row that may be a loop."""
    loop_words: int = 8
    """Words of a phrase that is looked for."""
    loop_pace: float = 8.0
    """Words a second that nobody says: a quick speaker counts to six."""

    def judge(self, words: Sequence[Word], evidence: Evidence) -> Verdict:
        """Judge one attempt by what was heard and what is known of it."""
        if not words:
            return Verdict.TAKE
        unlikely = evidence.log_probability < self.log_probability
        if evidence.fresh and unlikely and evidence.no_speech > self.no_speech:
            return Verdict.SILENCE
        if evidence.loops:
            return Verdict.RETRY
        if evidence.final and unlikely:
            return Verdict.RETRY
        if evidence.spared and evidence.cut:
            return Verdict.RETRY_GREEDILY
        repetitive = evidence.compression > self.compression
        return Verdict.RETRY_GREEDILY if repetitive and (evidence.final or evidence.spared) else Verdict.TAKE

    def is_loop(self, words: Sequence[Word], span: float) -> bool:
        """Say whether a phrase is repeated faster than anyone speaks.

        The pace is taken over the words' own times, which a loop squeezes together, and over the whole span.
        """
        first, end = self._run(words)
        spoken = (words[end - 1].end - words[first].start) / SAMPLE_RATE if end else 0.0
        return end - first > self.loop_pace * min(span, spoken)

    def is_impossible(self, words: Sequence[Word], span: float) -> bool:
        """Say whether a loop has more words than the span could hold, wherever in it they are."""
        first, end = self._run(words)
        return end - first > self.loop_pace * span

    def _run(self, words: Sequence[Word]) -> tuple[int, int]:
        """Return where the longest repetition starts and ends."""
        return longest_run([word.text.strip().casefold() for word in words], self.loop_copies, self.loop_words)


def longest_run(texts: Sequence[str], copies: int, longest: int) -> tuple[int, int]:
    """Return where the longest run of at least `copies` copies of one phrase starts and ends; (0, 0) for none.

    A phrase has 1 to `longest` words.
    """
    best = (0, 0)
    for size in range(1, longest + 1):
        run = 0  # words in a row that equal the one a phrase earlier
        for i in range(size, len(texts)):
            run = run + 1 if texts[i] == texts[i - size] else 0
            if run + size >= copies * size and run + size > best[1] - best[0]:
                best = (i + 1 - run - size, i + 1)
    return best


def compression_ratio(text: str) -> float:
    """Return how much smaller zlib makes the text; 0 for none. High for repetitive text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
