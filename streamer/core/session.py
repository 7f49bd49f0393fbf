"""One stream as a state machine: audio and hypotheses in, requests and events out.

Theory of operation. Audio is cut into frames for the voice activity detector; the endpointer turns frames into
utterances; utterances wait in a queue and the oldest is decoded, again and again while it grows, and once more when
it is complete. At most one request is in flight. A session awaits nothing, reads no clock and touches no device:
its time is the number of samples it has received, so the same audio gives the same utterances however the network cut
it and however slow the recognizer is.

Updates lie on a grid of audio time and none is left out: what is committed when follows from the audio alone. Only when
the device is too slow, which its connection knows: many streams are stretched, so that their updates lie further apart,
and a stream that is late all the same is hurried (`cadence.py`): its request goes to the end of the audio.

    receive_audio ─▶ window, frames ─▶ endpointer ─▶ utterances ─▶ next_request ─▶ (recognizer)
                                                                                        │
    events ◀─ commits, partials, finals ◀─ Utterance.receive ◀─ receive_hypothesis ◀────┘

Timeline. Every sample ends up in exactly one of: text committed, silence (the detector's or the decoder's), a Gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples, Task
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.agenda import Agenda
from streamer.core.cadence import Cadence
from streamer.core.commands import Configure
from streamer.core.dialogue import Dialogue, Topic
from streamer.core.events import Done, Event, Final, Flushed, Gap, Marked, Paced, Warned
from streamer.core.intake import Intake
from streamer.core.narrator import Narrator
from streamer.core.utterance import Utterance
from streamer.core.vad import VoiceActivityDetector


class Session:
    """The heart: see the theory of operation above. Not thread-safe; its connection owns it."""

    def __init__(
        self,
        stream: str,
        config: SessionConfig,
        endpoint: EndpointConfig,
        vad: VoiceActivityDetector,
        *,
        language: str | None = None,
        languages: Sequence[str] = (),
        task: Task = Task.TRANSCRIBE,
        context: str = "",
        partials: bool = True,
    ) -> None:
        """`stream` names the session.

        language: None detects it anew in each utterance, among `languages` or, if that is empty, all the model has.
        """
        self.stream = stream
        self._intake = Intake(endpoint, vad)
        self._dialogue = Dialogue(stream, Topic(language, tuple(languages), task, context), config)
        self._narrator = Narrator(partials=partials)
        self._agenda = Agenda(config, self._narrator)
        self.cadence = Cadence(config.update_interval_ms * SAMPLE_RATE // 1000)
        """When it is decoded; its connection, which has a clock, may hurry it."""
        self._ended = False
        self._done = False

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self._intake.received

    @property
    def backlog(self) -> int:
        """Samples of speech received and not yet heard by the recognizer."""
        return self.received - self._agenda.head.heard if self._agenda.head else 0

    @property
    def untold(self) -> int:
        """Events that wait for the client or the recognizer."""
        return self._narrator.untold + self._agenda.deferred

    @property
    def done(self) -> bool:
        """Whether the stream has ended and everything in it is decided."""
        return self._done

    @property
    def wants_final(self) -> bool:
        """Whether the next request completes an utterance."""
        head = self._agenda.head
        return head is not None and self.wants_decode and self._next_end(head) == head.end

    @property
    def due(self) -> int:
        """Sample index where the next request ends; what was received, if there is none."""
        head = self._agenda.head
        return self._next_end(head) if head is not None and self.wants_decode else self.received

    @property
    def wants_decode(self) -> bool:
        """Whether next_request would return a request."""
        head = self._agenda.head
        if head is None or self._dialogue.waiting:
            return False
        return self.cadence.has_come(head, head.reach(self._intake.framed))

    @property
    def settled(self) -> int:
        """Sample index up to which everything is text that was committed, silence, or a gap; never decreases."""
        head = self._agenda.head
        return self._intake.decided if head is None else head.decided

    def begin_at(self, sample: int, *, utterances: int, commits: int) -> None:
        """Go on with a stream of which everything before `sample` is decided: so many utterances and commits."""
        if sample:
            self._intake.skip(sample)
        self._agenda.begun = utterances
        self._narrator.commits = commits

    def close_utterance(self, final: Final) -> None:
        """Say that an utterance is decided that was begun before this session was."""
        self._narrator.tell(final)

    def stretch(self, interval: int) -> None:
        """Wait for so many samples between two updates from now on, and tell the client if that is a change."""
        if (stretched := self.cadence.stretch(interval)) is not None:
            self._narrator.tell(Paced(stretched))

    def notify(self, warning: Warned) -> None:
        """Say this now, also after the input has ended."""
        self._narrator.tell(warning)

    def release(self) -> None:
        """Give the audio back; nothing can be decided afterwards."""
        self._intake.window.release()

    def receive_audio(self, samples: Samples) -> None:
        """Take the next samples, (n,) float32 mono at 16 kHz in [-1, 1].

        Raises ValueError for another shape or type, RuntimeError after receive_eof.
        """
        self._check_open()
        for change in self._intake.receive(samples):
            self._agenda.take(change, self.cadence.interval)
        self._forget_audio()

    def receive_flush(self, marker: str) -> None:
        """Finalise everything received so far; Flushed(marker) follows when it is decided."""
        self._check_open()
        self._cut()
        self._agenda.defer(self.received, Flushed(marker))
        self._conclude()

    def receive_gap(self, samples: int, reason: str) -> None:
        """Take the news that the next `samples` will never come: what was said before is finalised, then Gap follows.

        With 0 the audio only breaks off here. Raises ValueError for less, RuntimeError after receive_eof.
        """
        self._check_open()
        if samples < 0:
            raise ValueError(f"a gap must have at least 0 samples, got {samples}")
        self._cut()
        start = self.received
        if samples:
            self._intake.skip(samples)
            self._agenda.defer(start, Gap(start, self.received, reason))
        self._conclude()
        self._forget_audio()

    def receive_mark(self, marker: str) -> None:
        """Say Marked(marker) at this place of the stream."""
        self._check_open()
        self._narrator.tell(Marked(marker, self.received))

    def warn(self, code: str, message: str) -> None:
        """Say Warned at this place of the stream."""
        self._check_open()
        self._narrator.tell(Warned(code, message))

    def reconfigure(self, configure: Configure) -> None:
        """Take a client's new wishes: for the utterances that begin from now on; the silence that ends speech at once.

        Raises ConfigError for a hangover or pre-roll that cannot be.
        """
        self._check_open()
        self._intake.adjust(configure.hangover_ms, configure.pre_roll_ms)
        self._dialogue.wish(self._agenda.begun + 1, configure)

    def discard(self) -> None:
        """Forget the speech that is going on: nothing more is said of it. What has ended before is still decided."""
        self._check_open()
        for _ in self._intake.cut():
            pass  # what has just begun and ended is part of what is forgotten
        if self._agenda.forget_open():
            if self._agenda.head is None:
                self._dialogue.discard()
            self._narrator.forget_partial()
        self._forget_audio()

    def receive_eof(self) -> None:
        """Finalise everything; Done follows when it is decided. A second call changes nothing."""
        if self._ended:
            return
        self._cut()
        self._ended = True
        self._conclude()

    def next_request(self) -> DecodeRequest | None:
        """Return what to decode now, or None. The answer goes to receive_hypothesis or receive_failure."""
        head = self._agenda.head
        if head is None or not self.wants_decode:
            return None
        return self._dialogue.ask(head, self._intake.window.read(head.window_start, self._next_end(head)))

    def receive_hypothesis(self, hypothesis: Hypothesis) -> None:
        """Take the answer to the request in flight. Raises RuntimeError for any other."""
        if self._dialogue.drops() or not self._dialogue.receive(hypothesis):
            return
        head = self._head
        update = head.receive(hypothesis)
        if update.committed:
            self._dialogue.commit(head, hypothesis.language)
        self._narrator.tell_update(head, update, hypothesis, self.received - hypothesis.end)
        self._dialogue.remember(update.departed)
        if hypothesis.final:
            self._agenda.finish()
            self._conclude()
        self._forget_audio()

    def receive_failure(self, reason: str) -> None:
        """Take the news that there is no answer: the audio is asked about once more; then it becomes a Gap."""
        if self._dialogue.drops():
            return
        request = self._dialogue.receive_failure()
        if request is None:
            self._narrator.tell(Warned("recognition_failed", reason))
            return
        head = self._head
        gap, departed = head.abandon(request)
        self._dialogue.remember(departed)
        self._narrator.tell(Gap(gap, request.end, reason))
        if request.final:
            self._narrator.tell_final(head, request.end, head.language or self._dialogue.language)
            self._agenda.finish()
            self._conclude()
        self._forget_audio()

    def events(self) -> Iterator[Event]:
        """Hand over what happened since the last call, in order."""
        return self._narrator.take()

    def _check_open(self) -> None:
        if self._ended:
            raise RuntimeError("the stream has ended: nothing can be received any more")

    @property
    def _head(self) -> Utterance:
        """The utterance that was asked about."""
        assert self._agenda.head is not None, "a request is about an utterance"
        return self._agenda.head

    def _next_end(self, head: Utterance) -> int:
        """Return where the next request ends."""
        return self.cadence.next_end(head, head.reach(self._intake.framed))

    def _cut(self) -> None:
        """End the utterance that is going on at the last sample received."""
        for change in self._intake.cut():
            self._agenda.take(change, self.cadence.interval)

    def _conclude(self) -> None:
        """Say what waited for the audio before it, and Done at the very end."""
        self._agenda.tell_deferred(self.received)
        if self._ended and self._agenda.head is None:
            self._done = True
            self._narrator.tell(Done(self.received, self._narrator.commits))

    def _forget_audio(self) -> None:
        """Let go of audio that no utterance, present or future, can ask for."""
        self._intake.forget(self._agenda.head.window_start if self._agenda.head else None)
