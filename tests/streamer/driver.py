"""Plays audio into a session with chosen network chunks and recognizer delays, both counted in samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, cycle, repeat

from model.types import Hypothesis, Samples
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.events import Commit, Event, Final
from streamer.core.session import Session
from tests.fakes import LevelRecognizer, LevelVad


def new_session(config: SessionConfig | None = None, **options: object) -> Session:
    """Return a session that hears levels."""
    return Session("s", config or SessionConfig(), EndpointConfig(), LevelVad(), **options)  # type: ignore[arg-type]


def cut(audio: Samples, sizes: Iterable[int]) -> Iterator[Samples]:
    """Cut audio into chunks of the given sizes, over and over."""
    position = 0
    for size in cycle(sizes):
        if position >= len(audio):
            return
        yield audio[position : position + size]
        position += size


class Player:
    """A recognizer that answers after further audio has come in: latency as an input."""

    def __init__(self, session: Session, recognizer: LevelRecognizer, delays: Sequence[int] = (0,)) -> None:
        self.session = session
        self.recognizer = recognizer
        self.delays = chain(delays, repeat(delays[-1])) if delays else repeat(0)
        self.pending: tuple[int, Hypothesis] | None = None
        self.events: list[Event] = []

    def ask(self) -> None:
        """Hand over a request, if there is one, and note when its answer is due."""
        request = self.session.next_request()
        if request is not None:
            self.pending = (self.session.received + next(self.delays), self.recognizer.answer(request))

    def settle(self, *, ended: bool = False) -> None:
        """Deliver answers that are due and ask again."""
        while True:
            if self.pending is None:
                self.ask()
            if self.pending is None or (self.pending[0] > self.session.received and not ended):
                break
            _, hypothesis = self.pending
            self.pending = None
            self.session.receive_hypothesis(hypothesis)
            self.events += self.session.events()
        self.events += self.session.events()

    def play(self, chunks: Iterable[Samples], flush_after: Sequence[int] = ()) -> list[Event]:
        """Play everything, end the stream, return all events."""
        for index, chunk in enumerate(chunks):
            self.session.receive_audio(chunk)
            self.settle()
            if index in flush_after:
                self.session.receive_flush(f"after {index}")
                self.settle()
        self.session.receive_eof()
        self.settle(ended=True)
        return self.events


def play(
    audio: Samples,
    chunks: Sequence[int] = (1600,),
    delays: Sequence[int] = (0,),
    config: SessionConfig | None = None,
    recognizer: LevelRecognizer | None = None,
    *,
    hurried: bool = False,
) -> list[Event]:
    """Run one stream from start to end; `hurried` leaves updates out, as for a device that is too slow."""
    session = new_session(config)
    session.cadence.hurried = hurried
    return Player(session, recognizer or LevelRecognizer(), delays).play(cut(audio, chunks))


def finals(events: Iterable[Event]) -> list[str]:
    """Return the texts of all finals that have one."""
    return [event.text for event in events if isinstance(event, Final) and event.text]


def commits(events: Iterable[Event]) -> list[Commit]:
    """Return all commits."""
    return [event for event in events if isinstance(event, Commit)]


def committed_words(events: Iterable[Event]) -> list[str]:
    """Return every committed word."""
    return [word.text.strip() for commit in commits(events) for word in commit.words]
