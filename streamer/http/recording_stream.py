"""A recording through a session and the engine, at the pace at which the engine has time for it.

Theory of operation. A recording is a stream without a clock: the same session divides it at pauses, forces what is
committed on the next window and hands on the prompt, and the same engine decodes it with everybody else's batches. Two
things differ. The session is patient: an utterance is decoded once, when it is complete or fills 30 s, and not while it
grows. And the engine is asked in the background, so that live streams go first.

Audio is read when the session has nothing left to decode: a recording of any length holds half a minute of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from math import inf

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples, Word
from streamer.core.events import Commit, Gap
from streamer.core.session import Session
from streamer.http.blocking import off_loop
from streamer.http.errors import ApiError, Kind
from streamer.recognition.engine import Engine
from streamer.recognition.runner import EngineError


@dataclass(frozen=True, slots=True)
class Said:
    """Words that were decided, and the hypothesis whose first ones they are."""

    words: Sequence[Word]
    hypothesis: Hypothesis


class RecordingStream:
    """Of one recording; its session is touched by nobody else, and by one thread at a time."""

    wants_final = False
    deadline = inf
    """A recording is never due, and counts as no load."""

    def __init__(self, session: Session, engine: Engine, blocks: AsyncIterator[Samples]) -> None:
        """`blocks` may take their time, and are short: a second, for a thread that judges them."""
        session.cadence.patient = True
        self._session = session
        self._engine = engine
        self._blocks = blocks

    def next_request(self) -> DecodeRequest | None:
        """Return what to decode now: what the engine asks of whoever waits."""
        return self._session.next_request()

    async def run(self) -> AsyncGenerator[Said]:
        """Yield what is decided, in order, to the end. Raises ApiError for audio that cannot be recognised."""
        session = self._session
        try:
            while not session.done:
                if not session.wants_decode:
                    await self._feed()
                    continue
                hypothesis = await self._decode()
                for event in session.events():
                    if isinstance(event, Gap):
                        raise lost(event)
                    if isinstance(event, Commit) and hypothesis is not None:
                        yield Said(event.words, hypothesis)
        finally:
            self._engine.forget(session.stream)

    async def _feed(self) -> None:
        """Read on, by one block."""
        block = await anext(self._blocks, None)
        if block is None:
            self._session.receive_eof()
        else:
            await off_loop(lambda: self._session.receive_audio(block))

    async def _decode(self) -> Hypothesis | None:
        """Decode what is there; None if that failed, of which the session knows."""
        try:
            hypothesis = await self._engine.transcribe(self, background=True)
        except EngineError:  # the engine has logged its cause
            self._session.receive_failure("recognition failed")
            return None
        if hypothesis is not None:
            self._session.receive_hypothesis(hypothesis)
        return hypothesis


def lost(gap: Gap) -> ApiError:
    """Return the error of audio that was given up: a transcript with a hole in it would not say so."""
    start, end = gap.start / SAMPLE_RATE, gap.end / SAMPLE_RATE
    complaint = f"the audio from {start:.2f} s to {end:.2f} s cannot be recognised"
    return ApiError(500, "recognition_failed", complaint, kind=Kind.SERVER)
