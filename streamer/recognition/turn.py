"""A session in line for the device: what the engine asks of it, with the clock that the session does not have."""

from __future__ import annotations

from model.types import DecodeRequest
from streamer.core.session import Session
from streamer.recognition.engine import Engine
from streamer.recognition.pace import Pace
from streamer.recognition.runner import EngineError


class Turn:
    """A RequestSource for one session."""

    def __init__(self, session: Session, pace: Pace) -> None:
        self._session = session
        self._pace = pace

    @property
    def wants_final(self) -> bool:
        """Whether its next request completes an utterance."""
        return self._session.wants_final

    @property
    def deadline(self) -> float:
        """When its next request became due."""
        return self._pace.deadline(self._session.due)

    def next_request(self) -> DecodeRequest | None:
        """Return the session's request; if it comes too late for its client, one up to the end of the audio."""
        self._session.cadence.hurried = self._pace.is_overdue(self._session.due)
        try:
            return self._session.next_request()
        finally:
            self._session.cadence.hurried = False

    async def take(self, engine: Engine) -> None:
        """Have the session's next request answered, and hand it the answer, or the news that there is none."""
        try:
            hypothesis = await engine.transcribe(self)
        except EngineError:  # the engine has logged its cause
            self._session.receive_failure("recognition failed")
        else:
            if hypothesis is not None:
                self._session.receive_hypothesis(hypothesis)
