"""What is still to be decided of a stream: its utterances, oldest first, and what is said after them."""

from __future__ import annotations

from collections import deque

from streamer.config import SessionConfig
from streamer.core.endpoint import Offset, Onset
from streamer.core.events import Event, SpeechEnded, SpeechStarted
from streamer.core.narrator import Narrator
from streamer.core.policies import new_policy
from streamer.core.utterance import Utterance


class Agenda:
    """Begins and ends utterances and says so; only the oldest, the head, is decoded."""

    def __init__(self, config: SessionConfig, narrator: Narrator) -> None:
        self._config = config
        self._narrator = narrator
        self._utterances: deque[Utterance] = deque()
        self._deferred: deque[tuple[int, Event]] = deque()
        self.begun = 0
        """Utterances begun so far: the number of the last one."""

    @property
    def head(self) -> Utterance | None:
        """The utterance that is being decided."""
        return self._utterances[0] if self._utterances else None

    @property
    def deferred(self) -> int:
        """Events that wait for the audio before them to be decided."""
        return len(self._deferred)

    def take(self, change: Onset | Offset, interval: int) -> None:
        """Begin or end an utterance; interval: samples from one update to the next."""
        if isinstance(change, Offset):
            self._end(change)
        else:
            self._begin(change, interval)

    def finish(self) -> None:
        """Close the head; the next one, if any, is decoded from now on."""
        self._utterances.popleft()

    def forget_open(self) -> bool:
        """Take back the utterance that goes on, if one does; say whether there was one."""
        if not self._utterances or self._utterances[-1].end is not None:
            return False
        self._utterances.pop()
        return True

    def defer(self, position: int, event: Event) -> None:
        """Let an event wait until everything before a sample index is decided."""
        self._deferred.append((position, event))

    def tell_deferred(self, received: int) -> None:
        """Say what waited for audio that is decided now."""
        decided = self._utterances[0].start if self._utterances else received
        while self._deferred and self._deferred[0][0] <= decided:
            self._narrator.tell(self._deferred.popleft()[1])

    def _begin(self, onset: Onset, interval: int) -> None:
        self.begun += 1
        utterance = Utterance(self.begun, onset.start, self._config, new_policy(self._config))
        # Before the onset there is nothing to hear: the first update is due at once.
        utterance.heard = max(utterance.heard, onset.detected - interval)
        utterance.first_update = utterance.heard + interval
        self._utterances.append(utterance)
        self._narrator.tell(SpeechStarted(self.begun, onset.start))

    def _end(self, offset: Offset) -> None:
        utterance = self._utterances[-1]
        utterance.end = offset.end
        self._narrator.tell(SpeechEnded(utterance.number, offset.speech_end, audio_end=offset.end))
