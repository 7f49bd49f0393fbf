"""Puts what happens in a session into events, in order; the only place where commits are numbered."""

from __future__ import annotations

from collections.abc import Iterator

from model.types import Hypothesis
from streamer.core.events import Commit, Event, Final, Partial, Warned
from streamer.core.utterance import Update, Utterance


class Narrator:
    """Collects events until somebody takes them.

    What is not taken is bounded by what is said: partials give way to newer ones, and commits come no faster than
    speech. Whoever takes them too slowly is cut off by the connection's send timeout.
    """

    def __init__(self, *, partials: bool) -> None:
        """Start with nothing to say; `partials` says whether the client wants them."""
        self.commits = 0
        """Commits so far: the id of the last one."""
        self._wanted = partials
        self._partial = ""
        self._events: list[Event] = []

    @property
    def untold(self) -> int:
        """Events that nobody has taken yet."""
        return len(self._events)

    def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def take(self) -> Iterator[Event]:
        """Hand over the events since the last call."""
        pending, self._events = self._events, []
        yield from pending

    def tell_update(self, utterance: Utterance, update: Update, hypothesis: Hypothesis, lag: int) -> None:
        """Say what a hypothesis changed; `lag` in samples."""
        if update.committed:
            self.commits += 1
            text = utterance.take_text(update.committed)
            start, end = update.committed[0].start, update.committed[-1].end
            self.tell(Commit(self.commits, utterance.number, text, start, end, update.committed, lag))
        if update.forced:
            message = "30 s went by without two hypotheses that agree; words were committed on the evidence of one"
            self.tell(Warned("window_full", message))
        if hypothesis.final:
            self.tell_final(utterance, hypothesis.end, hypothesis.language, lag)
        elif self._wanted:
            self._tell_partial(utterance, update, lag)

    def tell_final(self, utterance: Utterance, end: int, language: str, lag: int | None = None) -> None:
        """Say that an utterance is decided."""
        self._partial = ""
        self.tell(Final(utterance.number, utterance.text, utterance.start, end, language, lag))

    def forget_partial(self) -> None:
        """Let the next utterance begin without a tail."""
        self._partial = ""

    def _tell_partial(self, utterance: Utterance, update: Update, lag: int) -> None:
        """Say the tail if it changed; one that nobody has taken yet gives way to the newer one."""
        text = "".join(word.text for word in update.tail)
        text = text if utterance.text else text.lstrip()
        if text == self._partial and not (text and update.committed):
            return
        self._partial = text
        if self._events and isinstance(self._events[-1], Partial):
            self._events.pop()
        start = update.tail[0].start if update.tail else utterance.decided
        end = update.tail[-1].end if update.tail else utterance.decided
        self.tell(Partial(utterance.number, text, start, end, lag))
