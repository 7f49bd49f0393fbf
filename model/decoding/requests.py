"""Which requests a recognizer answers, and the answer to one without audio."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from model.types import HOP, WINDOW_SAMPLES, DecodeRequest, Hypothesis, ModelCard


def check_request(request: DecodeRequest, card: ModelCard) -> None:
    """Raise ValueError, with what is allowed, for a request that cannot be answered."""
    audio = request.audio
    if audio.ndim != 1 or audio.dtype != np.float32:
        raise ValueError(f"audio must be (n,) float32, got {audio.shape} {audio.dtype}")
    if len(audio) > WINDOW_SAMPLES:
        raise ValueError(f"audio must be at most {WINDOW_SAMPLES} samples (30 s), got {len(audio)}")
    if request.start < 0 or request.start % HOP:
        raise ValueError(f"start must be a multiple of {HOP} and not negative, got {request.start}")
    ends = (request.start, *request.earlier)
    # The last one may have ended here too: an utterance may end where its last update did.
    if any(end <= before for before, end in pairwise(ends)) or ends[-1] > request.end:
        raise ValueError(f"earlier ends must rise from {request.start} to {request.end}, got {request.earlier}")
    if not np.isfinite(audio).all():
        raise ValueError("audio must be finite, got NaN or infinity")
    if request.attempt is not None and request.attempt < 0:
        raise ValueError(f"attempt must be None or not negative, got {request.attempt}")
    languages = card.languages
    if request.language is not None and request.language not in languages:
        raise ValueError(f"language must be one of {', '.join(languages)}, got {request.language!r}")
    if unknown := [code for code in request.languages if code not in languages]:
        raise ValueError(f"languages must be some of {', '.join(languages)}, got {', '.join(map(repr, unknown))}")
    if request.task not in card.tasks:
        raise ValueError(f"task must be one of {', '.join(card.tasks)}, got {str(request.task)!r}")


def nothing_heard(request: DecodeRequest, language: str) -> Hypothesis:
    """Answer a request with less than one frame of audio."""
    spoken = request.language or next(iter(request.languages), language)
    return Hypothesis(request.start, request.end, (), spoken, final=request.final)
