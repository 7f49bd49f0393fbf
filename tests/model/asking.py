"""Requests in short, for tests of what answers them."""

import pytest

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Segment, Word
from tests.model.small_whisper import noise, small_tokenizer

TOKENIZER = small_tokenizer()
STAMP = TOKENIZER.timestamp_begin


def word(text: str, start: float, end: float) -> Word:
    return Word(text, int(start * SAMPLE_RATE), int(end * SAMPLE_RATE), 0.9, TOKENIZER.encode(text))


def segment(start: float, end: float | None, *words: Word) -> Segment:
    return Segment(int(start * SAMPLE_RATE), None if end is None else int(end * SAMPLE_RATE), words)


def request(seconds: float = 2.0, start: float = 0.0, seed: int = 0, **changes) -> DecodeRequest:
    values = {"stream": f"s{seed}", "language": "en"} | changes
    return DecodeRequest(start=int(start * SAMPLE_RATE), audio=noise(seconds, seed), **values)


OPEN = (segment(0.1, None, word(" ba", 0.1, 0.4), word(" do", 0.4, 0.8)),)
CLOSED = (segment(0.1, 0.8, word(" ba", 0.1, 0.4), word(" do", 0.4, 0.8)),)
DRAFT = (segment(0.9, 1.4, word(" ki", 0.9, 1.4)),)


def same(a: Hypothesis, b: Hypothesis) -> None:
    """Equal but for rounding and for what the batch cost."""
    assert [(s.start, s.end) for s in a.segments] == [(s.start, s.end) for s in b.segments]
    assert [(w.text, w.start, w.end, w.tokens) for w in a.words] == [
        (w.text, w.start, w.end, w.tokens) for w in b.words
    ]
    assert [w.probability for w in a.words] == pytest.approx([w.probability for w in b.words], abs=1e-3)
    assert (a.language, a.final, a.start, a.end) == (b.language, b.final, b.start, b.end)
    assert a.average_log_probability == pytest.approx(b.average_log_probability, abs=1e-3)
    assert a.no_speech_probability == pytest.approx(b.no_speech_probability, rel=1e-2)
