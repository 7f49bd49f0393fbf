"""When a tail is told: whoever shows it forgets it with the commit that follows."""

from __future__ import annotations

from model.types import Hypothesis, Word
from streamer.config import SessionConfig
from streamer.core.commit import LocalAgreement
from streamer.core.events import Commit, Event, Partial
from streamer.core.narrator import Narrator
from streamer.core.utterance import Update, Utterance

NO = Word(" no", 0, 4000, 0.9, (1,))


class Told:
    """A narrator in the middle of an utterance, and what it says of each update."""

    def __init__(self) -> None:
        self.narrator = Narrator(partials=True)
        self.utterance = Utterance(1, 0, SessionConfig(), LocalAgreement(0))
        self.update(NO)

    def update(self, *committed: Word, tail: tuple[Word, ...] = ()) -> list[Event]:
        hypothesis = Hypothesis(0, 8000, (), "en")
        self.narrator.tell_update(self.utterance, Update(committed, tail, ()), hypothesis, 0)
        return list(self.narrator.take())


def test_a_tail_that_stays_the_same_is_told_once_and_again_behind_a_commit():
    told = Told()

    assert [type(event) for event in told.update(tail=(NO,))] == [Partial]
    assert told.update(tail=(NO,)) == []
    assert [type(event) for event in told.update(NO, tail=(NO,))] == [Commit, Partial], "no, no, no"


def test_an_empty_tail_is_told_only_where_one_was_shown():
    told = Told()

    assert [type(event) for event in told.update(NO)] == [Commit]
    assert told.update() == []
    told.update(tail=(NO,))
    assert [event.text for event in told.update() if isinstance(event, Partial)] == [""]
