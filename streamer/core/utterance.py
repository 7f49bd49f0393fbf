"""One stretch of speech: its window, what is committed in it, and what is only guessed.

Theory of operation. The decoder sees the audio from `window_start` on, with `committed` forced as its prefix and
`draft`, the rest of the last hypothesis, offered for verification. Each answer moves words from the guess to the
committed part, never back. When the window grows long its front is trimmed, always between two committed words, and the
words that leave become prompt. A full window (30 s) must move on: if agreement has not come, what the completed
segments support is committed, and the client is told.

Segments follow one convention: if the last committed segment is open (end None), the first segment of the draft, and of
the next hypothesis, continues it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest, Hypothesis, Segment, Word
from streamer.config import SessionConfig
from streamer.core.commit import CommitPolicy
from streamer.core.trim import Cut, Span, words_to_settle


@dataclass(frozen=True, slots=True)
class Update:
    """What one hypothesis changed."""

    committed: tuple[Word, ...]
    tail: tuple[Word, ...]
    """Words that may still change."""
    departed: tuple[Word, ...]
    """Committed words that left the window: prompt from now on."""
    forced: bool = False
    """Whether words were committed without agreement because the window was full."""


class Utterance:
    """State of one utterance; changed by hypotheses only."""

    def __init__(self, number: int, start: int, config: SessionConfig, policy: CommitPolicy) -> None:
        self.number = number
        self.start = start
        self.end: int | None = None
        """Where its audio ends; None while it goes on."""
        self.window_start = start - start % HOP
        self.heard = self.window_start
        """Sample index up to which it has been decoded, or need not be."""
        self.first_update = self.window_start
        """Sample index where its first update ends, however far apart the others are."""
        self.decided = start
        """Sample index where the committed text ends."""
        self.text = ""
        """Everything committed, concatenated."""
        self.language: str | None = None
        """Language of the committed text; the rest of the utterance keeps it."""
        self.committed: tuple[Segment, ...] = ()
        """Committed words still in the window."""
        self.draft: tuple[Segment, ...] = ()
        self.earlier: tuple[int, ...] = ()
        """Where the windows that began at `window_start` and were heard before ended."""
        self._policy = policy
        self._trim_after = config.trim_after_ms * SAMPLE_RATE // 1000
        self._margin = config.commit_margin_ms * SAMPLE_RATE // 1000
        self._left_context = config.left_context_ms * SAMPLE_RATE // 1000

    def reach(self, available: int) -> int:
        """Return where a window that starts now ends, if audio up to `available` exists."""
        limit = available if self.end is None else self.end
        return min(limit, self.window_start + WINDOW_SAMPLES)

    def fills(self, reach: int) -> bool:
        """Say whether audio up to `reach`, not all of it heard, fills the window: it must be decoded to move on."""
        return self.heard < reach == self.window_start + WINDOW_SAMPLES

    def receive(self, hypothesis: Hypothesis) -> Update:
        """Take the answer to the last request: commit what is safe, keep the rest as draft, trim the window."""
        self.heard = hypothesis.end
        self.earlier = (*self.earlier, hypothesis.end)
        words = hypothesis.words
        if hypothesis.final:
            committed = self._commit(hypothesis.segments, self._policy.finish(words), keep_open=False)
            self.draft = ()
            return Update(committed, (), self._leave(len(self._words())))
        agreed = count = self._policy.update(words, hypothesis.end)
        full = hypothesis.end - hypothesis.start >= WINDOW_SAMPLES
        if full:
            span = Span(self.window_start, self.heard, self._words(), words)
            count = words_to_settle(span, hypothesis.segments, agreed)
            self._policy.skip(count - agreed)
        committed = self._commit(hypothesis.segments, count, keep_open=count == len(words))
        return Update(committed, words[count:], self._trim(words[count:], full=full), count > agreed)

    def abandon(self, request: DecodeRequest) -> tuple[int, tuple[Word, ...]]:
        """Give up on the audio of a request that cannot be decoded.

        Returns where the gap starts (it ends where the request ends) and the words that leave the window.
        """
        gap = max(self.decided, request.start)
        departed = self._leave(len(self._words()))
        self.draft = ()
        self._policy.finish(())
        self.heard = self.decided = request.end
        self._begin_at(request.end - request.end % HOP)
        return gap, departed

    def take_text(self, words: Sequence[Word]) -> str:
        """Append words to the transcript; return exactly what was appended."""
        text = "".join(word.text for word in words)
        if not self.text:
            text = text.lstrip()
        self.text += text
        return text

    def _words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.committed for word in segment.words)

    def _commit(self, segments: Sequence[Segment], count: int, *, keep_open: bool) -> tuple[Word, ...]:
        """Move the first `count` words of a hypothesis to the committed part; the rest is the new draft."""
        head, self.draft = split(segments, count)
        head = tuple(self._settle(segment) for segment in head)
        words = tuple(word for segment in head for word in segment.words)
        if head and self.committed and self.committed[-1].end is None:
            last = self.committed[-1]
            head = (replace(head[0], start=last.start, words=last.words + head[0].words), *head[1:])
            self.committed = self.committed[:-1]
        if head and keep_open and (head[-1].end or self.heard) > self.heard - self._margin:
            # It ends where the audio ended, not where the speaker did: more words may belong to it. Or none: its end
            # is all that is left to guess.
            if not self.draft and head[-1].end is not None:
                self.draft = (replace(head[-1], start=head[-1].end, words=()),)
            head = (*head[:-1], replace(head[-1], end=None))
        self.committed = (*self.committed, *head)
        return words

    def _settle(self, segment: Segment) -> Segment:
        """Fix the times of words being committed: within what was heard, and in order."""
        settled = []
        for word in segment.words:
            start = min(max(word.start, self.decided), self.heard)
            self.decided = min(max(word.end, start), self.heard)
            settled.append(replace(word, start=start, end=self.decided))
        return replace(segment, words=tuple(settled))

    def _trim(self, tail: tuple[Word, ...], *, full: bool) -> tuple[Word, ...]:
        """Cut the front of a long window; return the words that leave."""
        span = Span(self.window_start, self.heard, self._words(), tail)
        if self.heard - self.window_start <= self._trim_after:
            return ()
        cut = span.roomy_cut(self._left_context)
        if full and not span.frees_enough(cut):
            cut = span.cut(len(span.committed))
        return self._cut(cut) if cut else ()

    def _cut(self, cut: Cut) -> tuple[Word, ...]:
        place = cut.place - cut.place % HOP
        self._begin_at(max(self.window_start, min(place, self.heard - self.heard % HOP)))
        return self._leave(cut.index)

    def _begin_at(self, start: int) -> None:
        """Let the window begin here from now on."""
        if start != self.window_start:
            self.window_start, self.earlier = start, ()

    def _leave(self, count: int) -> tuple[Word, ...]:
        """Let the first `count` committed words go."""
        departed = self._words()[:count]
        _, self.committed = split(self.committed, count)
        return departed


def split(segments: Sequence[Segment], count: int) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Divide segments after `count` words; a segment cut in two stays open in the first part."""
    for index, segment in enumerate(segments):
        if count == 0:
            return tuple(segments[:index]), tuple(segments[index:])
        if count < len(segment.words):
            head = replace(segment, end=None, words=segment.words[:count])
            tail = replace(segment, start=segment.words[count].start, words=segment.words[count:])
            return (*segments[:index], head), (tail, *segments[index + 1 :])
        count -= len(segment.words)
    return tuple(segments), ()
