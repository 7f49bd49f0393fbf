"""What the model hears of a whole recording: the text that a stream is measured against."""

from __future__ import annotations

from functools import cache

import torch

from benchmarks.pairing import words_of
from benchmarks.speech import Speech
from model.transcriber import WhisperTranscriber

SETTINGS = (
    "`model/transcriber.py`: the whole recording at once, windows of 30 s, fallback temperatures, and the text before "
    "a window only for a model that it helps (given that text, the demo model leaves words out)"
)


@cache
def load(model: str) -> WhisperTranscriber:
    """Load the model on one thread of the CPU."""
    return WhisperTranscriber.load(model, "cpu", threads=1)


def hear_offline(model: str, speech: Speech) -> tuple[str, ...]:
    """Transcribe a recording; the same recording gives the same words."""
    torch.manual_seed(0)  # fallback draws at random
    (found,) = load(model).transcribe([speech.samples], language="en")
    return tuple(text for segment in found.segments for word in segment.words for text in words_of(word.text))
