"""This program as a system under test: its session and recognizer, hearing a stream in virtual time.

The session is given audio in the pieces a microphone gives, and every request it makes is answered at once. What it
commits when does not depend on how slow the recognizer is, so the times of a real one follow from the costs alone: a
request is begun when its audio is there and the one before it is answered, and answered when its CPU seconds are over.
A stream that falls behind is not in a hurry here; no update is left out, and the delays tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.emission import Emission, Run
from benchmarks.pairing import words_of
from benchmarks.speech import Speech
from benchmarks.stream import CHUNK
from model.types import SAMPLE_RATE, Hypothesis, Recognizer
from streamer.config import CommitPolicyName, EndpointConfig, SessionConfig
from streamer.core.events import Commit, Event, Final, Gap, Partial
from streamer.core.session import Session
from streamer.core.vad import VoiceActivityDetector, WebRtcVad


@dataclass(frozen=True, slots=True)
class Variant:
    """Our settings that are compared."""

    policy: CommitPolicyName
    context: str = "dynamic"
    """"dynamic" or "full"."""
    drafts: bool = True
    interval_ms: int = 350
    reuse: bool = True
    """Whether positions of the audio are used again, see `model/decoding/reuse.py`."""

    @property
    def name(self) -> str:
        """Name for the table."""
        parts = [f"streamer, {self.policy}"]
        parts += [f"{self.context} context"] if self.context != "dynamic" else []
        parts += ["no drafts"] if not self.drafts else []
        parts += ["no reuse"] if not self.reuse else []
        return ", ".join([*parts, f"{self.interval_ms / 1000:g} s"])

    @property
    def settings(self) -> str:
        """What was set, in words."""
        drafts = "drafts" if self.drafts else "no drafts"
        reuse = "reuse" if self.reuse else "no reuse"
        return f"{self.policy}, {self.context} context, {reuse}, {drafts}, an update every {self.interval_ms} ms"


class StreamerSystem:
    """Implements `benchmarks.emission.System`."""

    def __init__(
        self,
        variant: Variant,
        recognizer: Recognizer,
        session: SessionConfig | None = None,
        meter: Callable[[], float] = time.process_time,
        vad: Callable[[int], VoiceActivityDetector] = WebRtcVad,
    ) -> None:
        """recognizer: with the context and reuse that the variant names; session: all other settings.

        meter: tells the CPU seconds used so far; vad: makes a detector of an aggressiveness.
        """
        self.name, self.settings = variant.name, f"{variant.settings}, {recognizer.card.precision}"
        self._drafts = variant.drafts
        self._recognizer = recognizer
        self._meter = meter
        self._vad = vad
        self._config = replace(
            session or SessionConfig(), commit_policy=variant.policy, update_interval_ms=variant.interval_ms
        )

    def run(self, speech: Speech) -> Run:
        """Hear one stream. Raises RuntimeError if the session reports a gap or does not end."""
        endpoint = EndpointConfig()
        session = Session(self.name, self._config, endpoint, self._vad(endpoint.vad_aggressiveness))
        emissions: list[Emission] = []
        free = busy = 0.0
        updates = passes = 0
        shown: tuple[str, ...] = ()
        for _ in listen(session, speech):
            heard = session.received / SAMPLE_RATE
            while (answer := self._update(session)) is not None:
                hypothesis, cost = answer
                free = max(heard, free) + cost
                busy, updates, passes = busy + cost, updates + 1, passes + hypothesis.statistics.passes
                emission = tell(heard, free, list(session.events()), shown)
                shown = emission.shown
                emissions.append(emission)
        if not session.done:
            raise RuntimeError(f"{self.name}: the session wants nothing more, and is not done")
        self._recognizer.forget(session.stream)
        return Run(tuple(emissions), busy, updates, passes)

    def _update(self, session: Session) -> tuple[Hypothesis, float] | None:
        """Answer the session's next request, if it has one; return the answer and its CPU seconds."""
        request = session.next_request()
        if request is None:
            return None
        began = self._meter()
        (hypothesis,) = self._recognizer.transcribe([request if self._drafts else replace(request, draft=())])
        cost = self._meter() - began
        session.receive_hypothesis(hypothesis)
        return hypothesis, cost


def listen(session: Session, speech: Speech) -> Iterator[None]:
    """Let the audio clock run; yield whenever the session may want something."""
    for start in range(0, len(speech.samples), CHUNK):
        session.receive_audio(speech.samples[start : start + CHUNK])
        yield
    session.receive_eof()
    yield


def tell(heard: float, at: float, events: list[Event], shown: tuple[str, ...]) -> Emission:
    """Make one emission of the events of an update; shown: the words that could still change before it."""
    committed: list[str] = []
    final = False
    for event in events:
        match event:
            case Commit():
                words = words_of(event.text)
                committed += words
                shown = shown[len(words) :]
            case Partial():
                shown = tuple(words_of(event.text))
            case Final():
                shown, final = (), True
            case Gap():
                raise RuntimeError(f"nothing may fail, got a gap: {event.reason}")
            case _:
                pass
    return Emission(heard, at, tuple(committed), shown, final=final)
