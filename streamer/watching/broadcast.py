"""What one session said: kept for those who come late, handed on to those who are there. Pure.

Three things are kept. **Commits**, as the JSON of the native protocol, encoded once for all viewers: the whole session
or, beyond `max_bytes`, its newest part (the newest commit in any case), and how much is missing is said wherever it is
shown. **Cues**, made of them while they come. And the **log** of everything but partials, for viewers who are there:
LOG_ENTRIES at most; a viewer reads it at its own speed with nothing but a number of its own, and one that is further
behind than the log is long has lost its place. Of partials there is the newest only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from streamer.core import events
from streamer.core.cues import Cue, CueBuilder
from streamer.protocols.messages import Done
from streamer.protocols.native import NativeCodec
from streamer.protocols.native_messages import seconds, text
from streamer.watching.roll import Roll

LOG_ENTRIES = 1024
"""Several minutes of speech."""


@dataclass(frozen=True, slots=True)
class Line:
    """A commit as it is kept."""

    id: int
    utterance: int
    text: str
    message: str
    """The native protocol's `commit`."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A cue that will not change any more."""

    number: int
    commit: int
    """Id of the last commit when it was told: it has no words of later ones."""
    cue: Cue


class Broadcast:
    """One session as others see it. Its connection publishes; it never waits for anybody who watches."""

    def __init__(
        self, session: str, protocol: str, started: str, language: str | None, max_bytes: int, *, commits: int = 0
    ) -> None:
        """Begin; `started` by the clock on the wall, ISO 8601; `max_bytes` bounds the commits that are kept.

        commits: how many a session that is resumed had before.
        """
        self.session = session
        self.protocol = protocol
        self.started = started
        self.language = language
        """As the client named it, then as it was last heard; None if neither is known."""
        self.ended: str | None = None
        """When; None while it lives."""
        self.resumable = False
        """Whether its client may yet bring it back, although it has ended."""
        self.lines: Roll[Line] = Roll()
        """By commit id."""
        self.lines.begin_after(commits)
        self.captions: Roll[Caption] = Roll()
        """By their own numbers."""
        self.log: Roll[str] = Roll()
        self.partials = 0
        """How many there have been."""
        self._partial: events.Partial | str | None = None
        self._codec = NativeCodec("", ())  # only encodes, for which it needs to know nothing
        self._cues = CueBuilder()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._wakers: set[Callable[[], None]] = set()

    @property
    def viewers(self) -> int:
        """Those who watch now."""
        return len(self._wakers)

    @property
    def partial(self) -> str | None:
        """The newest partial as a message, while it is valid; encoded when it is first asked for."""
        if isinstance(self._partial, events.Partial):
            self._partial = "".join(map(str, self._codec.encode(self._partial)))
        return self._partial

    def join(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there is something new."""
        self._wakers.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        self._wakers.discard(wake)

    def publish(self, event: events.Event) -> None:
        """Take what the session says next; what concerns only its own client is not handed on."""
        match event:
            case events.Partial():
                self._partial = event
                self.partials += 1
            case events.Commit():
                self._commit(event)
            case events.Final(language=language):
                self._partial = None
                self.language = language or self.language
                self._note(event)
                self.finish_cue()
            case events.SpeechStarted() | events.SpeechEnded() | events.Gap() | events.Warned():
                self._note(event)
            case _:
                return
        self._wake()

    def finish_cue(self) -> None:
        """Show what words are left as a cue: no more belong to it."""
        self._show(self._cues.finish())

    def end(self, ended: str, audio: int, *, resumable: bool = False) -> None:
        """Take that the session is over, whichever way; `audio` in samples."""
        self.ended = ended
        self.resumable = resumable
        self._partial = None
        self.finish_cue()
        self._log(text(Done(seconds(audio), self.lines.last)))
        self._wake()

    def precede(self, past: Broadcast) -> None:
        """Take what was said before this began, if it ends where this begins. Nobody may have been shown this yet.

        Its cues come first and these are numbered on, so that it may be done once only, and while nobody looks on.
        """
        if past.lines.last != self.lines.gone or past.lines.last == past.lines.gone:
            return
        self.lines.precede(past.lines)
        self._bytes += past._bytes
        earlier, ours = past.captions.after(0), self.captions.after(0)
        if earlier and ours:
            earlier[-1] = ended_by(earlier[-1], ours[0].cue.start_ms)
        self.captions = Roll()
        self.captions.begin_after(past.captions.gone)
        for caption in (*earlier, *ours):
            self.captions.append(replace(caption, number=self.captions.last + 1))
        if earlier:
            self._cues.begin_at(earlier[-1].cue.end_ms)
        self.language = self.language or past.language
        self._keep_bound()

    def _commit(self, commit: events.Commit) -> None:
        self._partial = None
        if self.lines.last > self.lines.gone and self.lines.item(self.lines.last).utterance != commit.utterance:
            self.finish_cue()  # of one that its client withdrew, and that has no final
        message = self._note(commit)
        self.lines.append(Line(commit.id, commit.utterance, commit.text, message))
        self._bytes += len(message)
        self._show(self._cues.add(commit.words))
        self._keep_bound()

    def _keep_bound(self) -> None:
        while self._bytes > self._max_bytes and self.lines.last - self.lines.gone > 1:
            self._bytes -= len(self.lines.item(self.lines.gone + 1).message)
            self.lines.drop(1)
        while self.captions.last > self.captions.gone and self._is_lost(self.captions.gone + 1):
            self.captions.drop(1)

    def _is_lost(self, number: int) -> bool:
        return self.captions.item(number).commit <= self.lines.gone

    def _show(self, cues: list[Cue]) -> None:
        for cue in cues:
            self.captions.append(Caption(self.captions.last + 1, self.lines.last, cue))

    def _note(self, event: events.Event) -> str:
        message = "".join(map(str, self._codec.encode(event)))
        self._log(message)
        return message

    def _log(self, message: str) -> None:
        self.log.append(message)
        if self.log.last - self.log.gone > LOG_ENTRIES:
            self.log.drop(1)

    def _wake(self) -> None:
        for wake in self._wakers:
            wake()


def ended_by(caption: Caption, limit_ms: int) -> Caption:
    """Return a caption that ends when the next one begins: it stays for a while after its words."""
    cue = caption.cue
    return replace(caption, cue=replace(cue, end_ms=max(cue.start_ms + 1, min(cue.end_ms, limit_ms))))
