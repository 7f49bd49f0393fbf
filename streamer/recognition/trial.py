"""Decodes that nobody asked for: to see that recognition works, to have it warm, and to learn what an update costs."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from model.types import SAMPLE_RATE, DecodeRequest, Samples
from streamer.recognition.engine import Engine
from streamer.recognition.health import TRIAL

SILENCE: Samples = np.zeros(SAMPLE_RATE, dtype=np.float32)
NOISE_S, NOISE_LEVEL = 6.0, 0.01
"""Length and root mean square of the noise: a window of usual length, of faint sound that no gate takes for silence."""


class Trial:
    """Asks for some audio to be decoded."""

    wants_final = True
    deadline = 0.0

    def __init__(self, audio: Samples) -> None:
        """`audio`: at most 30 s."""
        self._audio = audio

    def next_request(self) -> DecodeRequest:
        """Return the request."""
        return DecodeRequest(TRIAL, 0, self._audio, final=True)


async def prove(engine: Engine) -> None:
    """See that something is recognised. Raises EngineError if it is not.

    Whatever comes of it, nothing is held against the next trial.
    """
    try:
        await engine.transcribe(Trial(SILENCE))
    finally:
        engine.forget(TRIAL)


async def warm_up(engine: Engine, clock: Callable[[], float] = monotonic) -> float:
    """Decode silence, then noise; return the seconds that the noise took, which is about what an update takes.

    Raises EngineError if the recognizer cannot.
    """
    noise = np.random.default_rng(0).normal(0, NOISE_LEVEL, round(NOISE_S * SAMPLE_RATE)).astype(np.float32)
    await engine.transcribe(Trial(SILENCE))
    began = clock()
    await engine.transcribe(Trial(noise))
    seconds = clock() - began
    engine.forget(TRIAL)
    return seconds
