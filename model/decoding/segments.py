"""Decoded tokens to segments and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from model.decoding.rows import Decoded
from model.decoding.timing import WordTimer
from model.types import SAMPLES_PER_TIMESTAMP, DecodeRequest, Segment, Word
from model.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Span:
    """One segment as tokens."""

    start: int | None
    """Sample index; None if it continues an open one."""
    end: int | None
    """Sample index; None while it is open."""
    first: int
    """Index of its first text token."""
    last: int
    """Index after its last text token."""


def token_spans(tokens: Sequence[int], timestamp_begin: int, start: int, *, continues: bool) -> list[Span]:
    """Divide tokens at their timestamps; start: sample index of the window; continues: whether a segment is open."""
    spans: list[Span] = []
    opened: int | None = None
    is_open, first = continues, 0
    for index, token in enumerate(tokens):
        if token < timestamp_begin:
            if not is_open:  # text without a timestamp before it: it begins where the last segment ended
                opened = spans[-1].end if spans else start
                is_open, first = True, index
            continue
        time = start + (token - timestamp_begin) * SAMPLES_PER_TIMESTAMP
        if first < index or (continues and not spans):
            spans.append(Span(opened, time, first, index))
            is_open = False
        else:
            opened, is_open = time, True
        first = index + 1
    if first < len(tokens):
        spans.append(Span(opened, None, first, len(tokens)))
    return spans


class SegmentBuilder:
    """Builds the segments of a hypothesis."""

    def __init__(self, tokenizer: Vocabulary) -> None:
        """tokenizer: of the checkpoint that decoded."""
        self._tokenizer = tokenizer

    def build(
        self, request: DecodeRequest, prefix: Sequence[int], decoded: Decoded, language: str
    ) -> tuple[Segment, ...]:
        """Return what was decoded after the prefix, with absolute times within the audio.

        prefix: the tokens that were forced.
        """
        continues = bool(request.prefix) and request.prefix[-1].end is None
        spans = token_spans(decoded.tokens, self._tokenizer.timestamp_begin, request.start, continues=continues)
        if not spans:
            return ()
        timer = WordTimer.of_request(request, prefix, decoded, self._tokenizer.timestamp_begin)
        segments = []
        for span in spans:
            words = self._words(span, decoded, timer, language)
            begin = min(request.prefix[-1].start if span.start is None else span.start, request.end)
            end = None if span.end is None else max(begin, min(span.end, request.end))
            segments.append(Segment(begin, end, words))
        return tuple(segments)

    def _words(self, span: Span, decoded: Decoded, timer: WordTimer, language: str) -> tuple[Word, ...]:
        """Return the words of one segment; special tokens that a weak model lets slip are no text."""
        places = [i for i in range(span.first, span.last) if decoded.tokens[i] < self._tokenizer.eot]
        words, done = [], 0
        for text, tokens in self._tokenizer.split_words([decoded.tokens[i] for i in places], language=language):
            index, after = places[done], places[done + len(tokens) - 1] + 1
            start, end = timer.place(
                index,
                after,
                opened=span.start if done == 0 else None,
                closed=span.end if done + len(tokens) == len(places) else None,
            )
            of_word = places[done : done + len(tokens)]
            probability = exp(sum(decoded.log_probabilities[i] for i in of_word) / len(tokens))
            words.append(Word(text, start, end, min(probability, 1.0), tokens, timer.attended(index, after)))
            done += len(tokens)
        return tuple(words)
