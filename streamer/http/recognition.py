"""A recording through a session and the engine, at the pace at which the engine has time for it.

Theory of operation. A recording is a stream without a clock: the same session divides it at pauses, forces what is
committed on the next window and hands on the prompt, and the same engine decodes it with everybody else's batches. Two
things differ. The session is patient: an utterance is decoded once, when it is complete or fills 30 s, and not while it
grows. And the engine is asked in the background, so that live streams go first.

Audio is read when the session has nothing left to decode: a recording of any length holds half a minute of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples, Word
from streamer.engine import Engine, EngineError
from streamer.events import Commit, Gap
from streamer.http.blocking import Stopped, off_loop
from streamer.http.errors import ApiError, Kind
from streamer.session import Session

BLOCKS_AT_ONCE = 10
"""Read in one go, so that whoever waits for the thread to end does not wait long."""


@dataclass(frozen=True, slots=True)
class Said:
    """Words that were decided, and the hypothesis whose first ones they are."""

    words: Sequence[Word]
    hypothesis: Hypothesis


class Recognition:
    """Of one recording; its session is touched by nobody else, and by one thread at a time."""

    wants_final = False
    deadline = inf
    """A recording is never due, and counts as no load."""

    def __init__(self, session: Session, engine: Engine, blocks: Iterator[Samples]) -> None:
        """`blocks` may take their time: they are read in a thread."""
        session.patient = True
        self._session = session
        self._engine = engine
        self._blocks = blocks
        self.waiting = False
        """Whether it waits for the engine."""

    def next_request(self) -> DecodeRequest | None:
        """Return what to decode now: what the engine asks of whoever waits."""
        return self._session.next_request()

    async def run(self) -> AsyncGenerator[Said]:
        """Yield what is decided, in order, to the end. Raises ApiError for audio that cannot be recognised."""
        session = self._session
        try:
            while not session.done:
                if not session.wants_decode:
                    await off_loop(self._feed)
                    continue
                hypothesis = await self._decode()
                for event in session.events():
                    if isinstance(event, Gap):
                        raise lost(event)
                    if isinstance(event, Commit) and hypothesis is not None:
                        yield Said(event.words, hypothesis)
        finally:
            self._engine.forget(session.stream)

    def _feed(self, stopped: Stopped) -> None:
        """Read on until there is something to decode, for a while at most."""
        for _ in range(BLOCKS_AT_ONCE):
            block = next(self._blocks, None)
            if block is None:
                self._session.receive_eof()
                return
            self._session.receive_audio(block)
            if stopped() or self._session.wants_decode:
                return

    async def _decode(self) -> Hypothesis | None:
        """Decode what is there; None if that failed, of which the session knows."""
        self.waiting = True
        try:
            hypothesis = await self._engine.transcribe(self, background=True)
        except EngineError:  # the engine has logged its cause
            self._session.receive_failure("recognition failed")
            return None
        finally:
            self.waiting = False
        if hypothesis is not None:
            self._session.receive_hypothesis(hypothesis)
        return hypothesis


def lost(gap: Gap) -> ApiError:
    """Return the error of audio that was given up: a transcript with a hole in it would not say so."""
    start, end = gap.start / SAMPLE_RATE, gap.end / SAMPLE_RATE
    complaint = f"the audio from {start:.2f} s to {end:.2f} s cannot be recognised"
    return ApiError(500, "recognition_failed", complaint, kind=Kind.SERVER)
