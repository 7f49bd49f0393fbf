from __future__ import annotations

import json
from dataclasses import replace

import pytest

from model.types import SAMPLE_RATE, Word
from streamer.core.events import (
    Commit,
    Done,
    Event,
    Final,
    Flushed,
    Gap,
    Paced,
    Partial,
    SpeechEnded,
    SpeechStarted,
    Warned,
)
from streamer.watching.broadcast import LOG_ENTRIES, Broadcast
from streamer.watching.feed import Feed
from streamer.watching.messages import WATCHING_BYTES, opening, whole
from streamer.watching.roll import Roll
from streamer.watching.styles import STYLES
from streamer.watching.viewer import LostPlaceError, Viewer


def broadcast(max_bytes: int = 1 << 20, commits: int = 0) -> Broadcast:
    return Broadcast("s", "native", "2026-01-01T00:00:00.000+00:00", None, max_bytes, commits=commits)


def commit(number: int, text: str = " word", utterance: int = 1) -> Commit:
    start = number * SAMPLE_RATE
    word = Word(text, start, start + SAMPLE_RATE // 2, 0.9)
    return Commit(number, utterance, text, start, start + SAMPLE_RATE // 2, (word,))


def partial(text: str) -> Partial:
    return Partial(1, text, 0, SAMPLE_RATE)


def kinds(viewer: Viewer) -> list[str]:
    """Return the types of all messages that are there for a viewer."""
    found = []
    while (message := viewer.next()) is not None:
        found.append(json.loads(message)["type"])
    return found


async def test_of_partials_a_viewer_gets_the_newest_and_none_that_a_commit_has_overtaken():
    said = broadcast()
    viewer = Viewer(said)
    for text in "abc":
        said.publish(partial(text))

    assert json.loads(viewer.next())["text"] == "c"
    assert viewer.next() is None
    assert viewer.skipped == 2

    said.publish(partial("d"))
    said.publish(commit(1))
    assert kinds(viewer) == ["commit"]

    said.publish(partial("e"))
    assert kinds(viewer) == ["partial"]
    assert viewer.skipped == 3


async def test_a_commit_goes_before_a_partial_that_came_after_it():
    said = broadcast()
    viewer = Viewer(said)
    said.publish(commit(1))
    said.publish(partial("a"))

    assert kinds(viewer) == ["commit", "partial"]


async def test_what_concerns_the_client_alone_is_not_handed_on():
    said = broadcast()
    viewer = Viewer(said)
    own: list[Event] = [Flushed("mine"), Paced(6400), Done(0, 0)]
    shared: list[Event] = [SpeechStarted(1, 0), SpeechEnded(1, 9), Gap(1, 2, "x"), Warned("c", "m")]
    for event in own + shared:
        said.publish(event)

    assert kinds(viewer) == ["speech_started", "speech_ended", "gap", "warning"]


async def test_a_viewer_further_behind_than_the_log_is_long_has_lost_its_place_and_others_have_not():
    said = broadcast()
    slow, quick = Viewer(said), Viewer(said)
    for number in range(1, LOG_ENTRIES + 2):
        said.publish(commit(number))
        quick.next()

    with pytest.raises(LostPlaceError):
        slow.next()
    assert quick.next() is None
    assert len(said.log.after(0)) == LOG_ENTRIES


async def test_a_viewer_that_has_left_is_held_no_more():
    said = broadcast()
    viewer = Viewer(said)
    assert said.viewers == 1

    viewer.leave()

    assert said.viewers == 0
    assert await viewer.news()


async def test_a_session_longer_than_the_bound_loses_its_start_and_says_so():
    said, everything = broadcast(max_bytes=2_000), broadcast()
    for number in range(1, 101):
        spoken = commit(number, f" a word of some length{'h' * (number % 3)}.")
        said.publish(spoken)
        everything.publish(spoken)
        captions = everything.captions.after(0)
        assert said.captions.after(0) == [caption for caption in captions if caption.commit > said.lines.gone]
    found = json.loads("".join(whole(said)))

    assert said._bytes == sum(len(line.message) for line in said.lines.after(0)) <= 2_000
    assert found["omitted"] == 100 - len(found["commits"]) > 50
    assert found["commits"][0]["id"] == found["omitted"] + 1
    assert found["commits"][-1]["id"] == 100
    assert json.loads(opening(said)[0])["omitted"] == found["omitted"]
    assert [caption.number for caption in captions] == list(range(1, len(captions) + 1))
    assert said.captions.gone > 40


async def test_a_commit_larger_than_the_bound_is_kept_until_the_next():
    said = broadcast(max_bytes=1_000)
    said.publish(commit(1, "x" * 2_000))
    assert said.lines.gone == 0
    said.publish(commit(2))
    assert said.lines.gone == 1


async def test_commits_that_the_first_message_has_no_place_for_follow_it():
    said = broadcast(max_bytes=4 * WATCHING_BYTES)
    for number in range(1, 601):
        said.publish(replace(commit(number), text="x" * 2_000, words=()))

    first, rest = opening(said)

    assert len(first) < 1 << 20
    ids = [each["id"] for each in json.loads(first)["commits"]] + [json.loads(line.message)["id"] for line in rest]
    assert ids == list(range(1, 601))
    assert len(rest) > 100


async def test_the_end_is_told_once_with_all_cues():
    said = broadcast()
    viewer = Viewer(said)
    said.publish(commit(1))
    assert said.captions.last == 0
    said.end("2026-01-01T00:01:00.000+00:00", 16_000)

    assert said.captions.last == 1
    assert kinds(viewer) == ["commit", "done"]
    assert json.loads("".join(whole(said)))["ended"] == "2026-01-01T00:01:00.000+00:00"


async def test_a_final_completes_the_cue_and_names_the_language():
    said = broadcast()
    said.publish(commit(1))
    said.publish(Final(1, " word", 0, SAMPLE_RATE, "fi"))

    assert said.captions.last == 1
    assert said.language == "fi"
    said.publish(Final(2, "", 2 * SAMPLE_RATE, 3 * SAMPLE_RATE, ""))
    assert said.language == "fi", "an utterance that was not understood takes nothing back"

    said.publish(Final(3, " ord", 4 * SAMPLE_RATE, 5 * SAMPLE_RATE, "sv"))
    assert said.language == "sv", "it is the one that was heard last"


@pytest.mark.parametrize("style", list(STYLES))
async def test_a_client_of_events_that_claims_to_have_more_than_there_is_is_told_what_comes(style):
    said = broadcast()
    said.publish(commit(1))
    said.finish_cue()
    feed = Feed(said, STYLES[style], seen=99)
    assert (feed.is_complete, list(feed.news())) == (True, [])

    said.publish(commit(2, " next", utterance=2))
    said.finish_cue()
    assert not feed.is_complete
    assert [event.splitlines()[0] for event in feed.news()] == [b"id: 2"]
    assert feed.is_complete


async def test_an_utterance_that_was_withdrawn_shares_no_cue_with_the_next():
    said = broadcast()
    said.publish(commit(1, " one"))
    said.publish(commit(2, " two", utterance=2))

    assert [caption.cue.lines for caption in said.captions.after(0)] == [("one",)]


async def test_a_session_that_goes_on_from_another_daemon_has_its_own_ids_and_says_what_is_missing():
    said = broadcast(commits=7)
    for number in (8, 9):
        said.publish(commit(number))
    found = json.loads("".join(whole(said)))

    assert found["omitted"] == 7
    assert [each["id"] for each in found["commits"]] == [8, 9]
    assert said.lines.item(9).id == 9
    assert said.lines.last == 9


def test_what_was_said_before_a_session_was_resumed_goes_before_what_it_says_now():
    past, said = broadcast(), broadcast(commits=2)
    past.publish(commit(1, "one"))
    past.publish(commit(2, " two"))
    past.finish_cue()
    said.publish(Final(1, "one two", SAMPLE_RATE, 3 * SAMPLE_RATE, "en"))
    said.publish(commit(3, "three", utterance=2))
    said.publish(Final(2, "three", 3 * SAMPLE_RATE, 4 * SAMPLE_RATE, "en"))
    said.precede(past)
    found = json.loads("".join(whole(said)))

    assert "omitted" not in found
    assert [each["id"] for each in found["commits"]] == [1, 2, 3]
    assert [(caption.number, caption.cue.lines) for caption in said.captions.after(0)] == [
        (1, ("one two",)),
        (2, ("three",)),
    ]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_last_cue_of_what_was_said_before_gives_way_to_the_first_of_now(when):
    past, said = broadcast(), broadcast(commits=1)
    end = SAMPLE_RATE * 11 // 10
    past.publish(Commit(1, 1, "one", SAMPLE_RATE, end, (Word("one", SAMPLE_RATE, end, 0.9),)))
    past.finish_cue()
    if when == "before":
        said.precede(past)
    said.publish(Commit(2, 2, "two", end, 2 * end, (Word("two", end, 2 * end, 0.9),)))
    said.publish(Final(2, "two", end, 2 * end, "en"))
    if when == "after":
        said.precede(past)
    first, second = (caption.cue for caption in said.captions.after(0))

    assert first.lines == ("one",)
    assert second.lines == ("two",)
    assert first.start_ms < first.end_ms <= second.start_ms


@pytest.mark.parametrize("last", [0, 1, 3])
def test_what_does_not_end_where_a_session_was_resumed_is_not_put_before_it(last):
    past, said = broadcast(), broadcast(commits=2)
    for number in range(1, last + 1):
        past.publish(commit(number))
    said.publish(commit(3))
    said.precede(past)

    assert (said.lines.gone, said.lines.last) == (2, 3)


def test_what_goes_before_a_session_keeps_the_bound_of_it():
    size = len(one_line())
    past, said = broadcast(), broadcast(2 * size + 10, commits=3)
    for number in range(1, 4):
        past.publish(commit(number))
    past.finish_cue()
    said.publish(commit(4))
    said.precede(past)

    assert (said.lines.gone, said.lines.last) == (2, 4)
    assert said._bytes == sum(len(line.message) for line in said.lines.after(0))


def test_cues_that_what_was_said_before_has_lost_count_all_the_same():
    past, said = broadcast(2 * len(one_line()) + 10), broadcast(commits=5)
    for number in range(1, 6):
        past.publish(commit(number, utterance=number))
    past.finish_cue()
    said.publish(commit(6, utterance=6))
    said.finish_cue()
    said.precede(past)

    assert said.captions.gone == 3
    assert [caption.number for caption in said.captions.after(0)] == [4, 5, 6]


@pytest.mark.parametrize(("now", "language"), [(None, "fi"), ("en", "en")])
def test_the_language_of_what_was_said_before_holds_until_another_is_known(now, language):
    past, said = broadcast(), broadcast(commits=1)
    past.publish(commit(1))
    past.publish(Final(1, " word", 0, SAMPLE_RATE, "fi"))
    said.language = now
    said.precede(past)

    assert said.language == language


def one_line() -> str:
    said = broadcast()
    said.publish(commit(1))
    return said.lines.item(1).message


def test_items_of_a_roll_keep_their_numbers_when_the_oldest_go():
    roll: Roll[str] = Roll()
    for letter in "abcd":
        roll.append(letter)
    roll.drop(2)

    assert (roll.gone, roll.last) == (2, 4)
    assert roll.item(3) == "c"
    assert roll.after(0) == roll.after(2) == ["c", "d"]
    assert roll.after(3) == ["d"]
    assert roll.after(4) == []
    with pytest.raises(ValueError, match="item 4"):
        roll.begin_after(9)
    for number in (2, 5):
        with pytest.raises(IndexError, match="items 3 to 4"):
            roll.item(number)


def test_a_roll_is_preceded_only_by_one_that_ends_where_it_begins():
    roll, earlier = Roll[str](), Roll[str]()
    roll.begin_after(2)
    roll.append("c")
    earlier.append("a")
    with pytest.raises(ValueError, match="up to 1 cannot precede items from 3 on"):
        roll.precede(earlier)
    earlier.append("b")
    roll.precede(earlier)

    assert [roll.item(number) for number in (1, 2, 3)] == ["a", "b", "c"]
