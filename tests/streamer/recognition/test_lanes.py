"""Who is decoded next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.types import DecodeRequest, Hypothesis
from streamer.recognition.lanes import HEAD_START_S, Lane, Lanes, Ticket
from tests.fakes import speak


class Source:
    def __init__(self, name: str, deadline: float, *, final: bool = False) -> None:
        self.name, self.deadline, self.wants_final = name, deadline, final

    def next_request(self) -> DecodeRequest | None:
        return DecodeRequest(self.name, 0, speak([1]), final=self.wants_final)


class Mute(Source):
    """A session with a bug."""

    @property
    def wants_final(self) -> bool:
        raise IndexError("a bug in this session")

    @wants_final.setter
    def wants_final(self, _: bool) -> None:
        pass


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def ticket(loop: asyncio.AbstractEventLoop, source: Source, *, tried: int = 0) -> Ticket:
    made = Ticket(source, loop.create_future(), 0.0)
    made.tried = [Hypothesis(0, 1, (), "en", settled=False)] * tried
    if tried:
        made.ask()
    return made


def order(lanes: Lanes, lane: Lane = Lane.FAST) -> list[str]:
    return [taken.source.name for taken in lanes.take(lane)]


def test_the_earliest_deadline_is_served_first(loop):
    lanes = Lanes()
    for name, deadline in (("b", 2.0), ("c", 3.0), ("a", 1.0)):
        lanes.join(ticket(loop, Source(name, deadline)))

    assert order(lanes) == ["a", "b", "c"]


def test_of_equal_deadlines_the_first_to_come_is_served_first(loop):
    lanes = Lanes()
    for name in "bca":
        lanes.join(ticket(loop, Source(name, 1.0)))

    assert order(lanes) == ["b", "c", "a"]


def test_a_final_goes_before_partials_that_were_due_before_it(loop):
    lanes = Lanes()
    lanes.join(ticket(loop, Source("partial", 1.0)))
    lanes.join(ticket(loop, Source("final", 1.0 + 0.9 * HEAD_START_S, final=True)))

    assert order(lanes) == ["final", "partial"]


@given(
    st.lists(st.floats(0.0, 100.0, allow_subnormal=False), min_size=1, max_size=40),
    st.floats(0.0, 100.0, allow_subnormal=False),
)
def test_finals_without_end_do_not_starve_a_partial(finals, deadline):
    with asyncio.Runner() as runner:
        lanes = Lanes()
        lanes.join(ticket(runner.get_loop(), Source("partial", deadline)))
        for late in finals:
            lanes.join(ticket(runner.get_loop(), Source(f"{late}", late, final=True)))
        before = order(lanes)

    assert all(float(name) <= deadline + HEAD_START_S for name in before[: before.index("partial")])
    assert all(float(name) >= deadline + HEAD_START_S for name in before[before.index("partial") + 1 :])


def test_a_client_ahead_of_real_time_gives_way_even_with_its_finals(loop):
    lanes = Lanes()
    lanes.join(ticket(loop, Source("file", 60.0, final=True)))
    lanes.join(ticket(loop, Source("microphone", 10.0)))

    assert order(lanes) == ["microphone", "file"]


def test_a_source_that_fails_to_say_when_it_is_due_is_asked_at_once(loop):
    lanes = Lanes()
    lanes.join(ticket(loop, Source("a", -100.0)))
    lanes.join(ticket(loop, Mute("mute", 0.0)))

    assert order(lanes) == ["mute", "a"]


def test_lanes_take_turns_while_both_wait(loop):
    lanes = Lanes()
    served = []
    for _ in range(6):
        lanes.join(ticket(loop, Source("fast", 1.0)))
        lanes.join(ticket(loop, Source("slow", 0.0), tried=1))
        lane = lanes.next_lane()
        assert lane is not None
        served.append(lane)
        next(lanes.take(lane))

    assert served == [Lane.FAST, Lane.SLOW] * 3


@pytest.mark.parametrize("tried", [0, 1])
def test_a_lane_is_served_again_and_again_while_the_other_is_empty(loop, tried):
    lanes = Lanes()
    lane = Lane.SLOW if tried else Lane.FAST
    for _ in range(3):
        lanes.join(ticket(loop, Source("a", 0.0), tried=tried))
        assert lanes.next_lane() is lane
        assert order(lanes, lane) == ["a"]

    assert lanes.next_lane() is None


def test_whoever_has_gone_is_not_served_and_not_counted(loop):
    lanes = Lanes()
    gone, here = ticket(loop, Source("gone", 0.0)), ticket(loop, Source("here", 1.0))
    lanes.join(gone)
    lanes.join(here)
    gone.answer.cancel()

    assert lanes.next_lane() is Lane.FAST
    assert lanes.depth(Lane.FAST) == 1
    assert order(lanes) == ["here"]


def test_another_attempt_keeps_the_request_and_its_place(loop):
    early, late = ticket(loop, Source("early", 1.0), tried=1), ticket(loop, Source("late", 5.0), tried=1)
    early.source.deadline = 50.0  # the session is asked no more
    lanes = Lanes()
    lanes.join(late)
    lanes.join(early)

    assert order(lanes, Lane.SLOW) == ["early", "late"]
    assert early.ask() is early.request
