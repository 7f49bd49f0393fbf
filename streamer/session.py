"""One stream as a state machine: audio and hypotheses in, requests and events out.

Theory of operation. Audio is cut into frames for the voice activity detector; the endpointer turns frames into
utterances; utterances wait in a queue and the oldest is decoded, again and again while it grows, and once more when
it is complete. At most one request is in flight. A session awaits nothing, reads no clock and touches no device:
its time is the number of samples it has received, so the same audio gives the same utterances however the network cut
it and however slow the recognizer is.

Updates lie on a grid of audio time and none is left out: what is committed when follows from the audio alone. Only when
its connection says that the stream is `hurried`, the device being too slow, a request goes to the end of the audio.

    receive_audio ─▶ window, frames ─▶ endpointer ─▶ utterances ─▶ next_request ─▶ (recognizer)
                                                                                        │
    events ◀─ commits, partials, finals ◀─ Utterance.receive ◀─ receive_hypothesis ◀────┘

Timeline. Every sample ends up in exactly one of: text committed, silence (the detector's or the decoder's), a Gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from model.types import HOP, SAMPLE_RATE, DecodeRequest, Hypothesis, Samples, Task
from streamer.commit import LocalAgreement
from streamer.config import EndpointConfig, SessionConfig
from streamer.endpoint import Endpointer, Offset, Onset
from streamer.events import Done, Event, Flushed, Gap, SpeechEnded, SpeechStarted, Warned
from streamer.history import History
from streamer.narrator import Narrator
from streamer.utterance import Utterance
from streamer.vad import FRAME_SAMPLES, VoiceActivityDetector
from streamer.window import AudioWindow

FAILURES_UNTIL_GAP = 2
"""Times in a row that a request may fail before its audio is given up."""


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
        task: Task = Task.TRANSCRIBE,
        context: str = "",
        partials: bool = True,
    ) -> None:
        """`stream` names the session; `language` None detects it anew in each utterance."""
        self.stream = stream
        self._config = config
        self._vad = vad
        self._language = language
        self._task = task
        self._context = context
        self._interval = config.update_interval_ms * SAMPLE_RATE // 1000
        self._margin = config.commit_margin_ms * SAMPLE_RATE // 1000
        self._window = AudioWindow()
        self._endpointer = Endpointer(endpoint)
        self._framed = 0
        self._utterances: deque[Utterance] = deque()
        self._begun = 0
        self._history = History(config.prompt_tokens)
        self._in_flight: DecodeRequest | None = None
        self._markers: deque[tuple[int, str]] = deque()
        self._ended = False
        self._done = False
        self._failures = 0
        self._narrator = Narrator(partials=partials)
        self.hurried = False
        """Whether updates may be left out; set by the connection, which has a clock."""

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self._window.end

    @property
    def backlog(self) -> int:
        """Samples of speech received and not yet heard by the recognizer."""
        return self.received - self._utterances[0].heard if self._utterances else 0

    @property
    def untold(self) -> int:
        """Events, and flushes to be answered, that wait for the client or the recognizer."""
        return self._narrator.untold + len(self._markers)

    @property
    def done(self) -> bool:
        """Whether the stream has ended and everything in it is decided."""
        return self._done

    @property
    def wants_final(self) -> bool:
        """Whether the next request completes an utterance."""
        if not self.wants_decode:
            return False
        head = self._utterances[0]
        return self._next_end(head) == head.end

    @property
    def due(self) -> int:
        """Sample index where the next request ends; what was received, if there is none."""
        return self._next_end(self._utterances[0]) if self.wants_decode else self.received

    @property
    def wants_decode(self) -> bool:
        """Whether next_request would return a request."""
        if self._in_flight is not None or not self._utterances:
            return False
        head = self._utterances[0]
        reach = head.reach(self._framed)
        return head.end is not None or reach - head.heard >= self._interval or head.fills(reach)

    def receive_audio(self, samples: Samples) -> None:
        """Take the next samples, (n,) float32 mono at 16 kHz in [-1, 1].

        Raises ValueError for another shape or type, RuntimeError after receive_eof.
        """
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise ValueError(f"audio must be (n,) float32, got {samples.shape} {samples.dtype}")
        self._check_open()
        self._window.append(samples)
        while self._framed + FRAME_SAMPLES <= self._window.end:
            frame = self._window.read(self._framed, self._framed + FRAME_SAMPLES)
            self._framed += FRAME_SAMPLES
            change = self._endpointer.receive_frame(self._vad(frame))
            if isinstance(change, Onset):
                self._begin_utterance(change)
            elif isinstance(change, Offset):
                self._end_utterance(change)
        self._forget_audio()

    def receive_flush(self, marker: str) -> None:
        """Finalise everything received so far; Flushed(marker) follows when it is decided."""
        self._check_open()
        self._cut()
        self._markers.append((self.received, marker))
        self._conclude()

    def receive_eof(self) -> None:
        """Finalise everything; Done follows when it is decided. A second call changes nothing."""
        if self._ended:
            return
        self._cut()
        self._ended = True
        self._conclude()

    def next_request(self) -> DecodeRequest | None:
        """Return what to decode now, or None. The answer goes to receive_hypothesis or receive_failure."""
        if not self.wants_decode:
            return None
        head = self._utterances[0]
        end = self._next_end(head)
        self._in_flight = DecodeRequest(
            stream=self.stream,
            start=head.window_start,
            audio=self._window.read(head.window_start, end),
            prompt=self._history.tokens,
            context=self._context,
            prefix=head.committed,
            draft=head.draft,
            language=self._language or head.language,
            task=self._task,
            final=end == head.end,
        )
        return self._in_flight

    def receive_hypothesis(self, hypothesis: Hypothesis) -> None:
        """Take the answer to the request in flight. Raises RuntimeError for any other."""
        request = self._take_request()
        if (hypothesis.start, hypothesis.end) != (request.start, request.end):
            raise RuntimeError(
                f"hypothesis answers {hypothesis.start}..{hypothesis.end}, asked {request.start}..{request.end}"
            )
        self._failures = 0
        head = self._utterances[0]
        update = head.receive(hypothesis)
        if update.committed:
            head.language = hypothesis.language
        self._narrator.tell_update(head, update, hypothesis, self.received - hypothesis.end)
        self._history.add(update.departed)
        if hypothesis.final:
            self._finish_head()
        self._forget_audio()

    def receive_failure(self, reason: str) -> None:
        """Take the news that the request in flight could not be answered.

        The audio is asked about once more; then it becomes a Gap. What was committed stands.
        """
        request = self._take_request()
        head = self._utterances[0]
        self._failures += 1
        if self._failures < FAILURES_UNTIL_GAP:
            self._narrator.tell(Warned("recognition_failed", reason))
            return
        self._failures = 0
        gap, departed = head.abandon(request)
        self._history.add(departed)
        self._narrator.tell(Gap(gap, request.end, reason))
        if request.final:
            self._narrator.tell_final(head, request.end, head.language or self._language or "")
            self._finish_head()
        self._forget_audio()

    def events(self) -> Iterator[Event]:
        """Hand over what happened since the last call, in order."""
        return self._narrator.take()

    def _check_open(self) -> None:
        if self._ended:
            raise RuntimeError("the stream has ended: nothing can be received any more")

    def _take_request(self) -> DecodeRequest:
        if self._in_flight is None:
            raise RuntimeError("no request is in flight")
        request, self._in_flight = self._in_flight, None
        return request

    def _begin_utterance(self, onset: Onset) -> None:
        self._begun += 1
        policy = LocalAgreement(self._margin)
        utterance = Utterance(self._begun, onset.start, self._config, policy)
        # Before the onset there is nothing to hear: the first update is due at once.
        utterance.heard = max(utterance.heard, onset.detected - self._interval)
        self._utterances.append(utterance)
        self._narrator.tell(SpeechStarted(self._begun, onset.start))

    def _end_utterance(self, offset: Offset) -> None:
        utterance = self._utterances[-1]
        utterance.end = offset.end
        self._narrator.tell(SpeechEnded(utterance.number, offset.speech_end))

    def _next_end(self, head: Utterance) -> int:
        """Return where the next request ends: one interval on, or as far as it goes for a stream in a hurry."""
        reach = head.reach(self._framed)
        return reach if self.hurried else min(reach, head.heard + self._interval)

    def _cut(self) -> None:
        """End the utterance that is going on at the last sample received."""
        onset, offset = self._endpointer.cut(self.received)
        if onset is not None:
            self._begin_utterance(onset)
        if offset is not None:
            self._end_utterance(offset)

    def _finish_head(self) -> None:
        """Close the oldest utterance; the next one, if any, is decoded from now on."""
        self._utterances.popleft()
        self._conclude()

    def _conclude(self) -> None:
        """Answer flushes whose audio is decided, and say Done at the very end."""
        decided = self._utterances[0].start if self._utterances else self.received
        while self._markers and self._markers[0][0] <= decided:
            self._narrator.tell(Flushed(self._markers.popleft()[1]))
        if self._ended and not self._utterances and not self._done:
            self._done = True
            self._narrator.tell(Done(self.received, self._narrator.commits))

    def _forget_audio(self) -> None:
        """Let go of audio that no utterance, present or future, can ask for."""
        oldest = self._utterances[0].window_start if self._utterances else self._endpointer.earliest_onset
        self._window.trim(min(oldest - oldest % HOP, self._framed))
