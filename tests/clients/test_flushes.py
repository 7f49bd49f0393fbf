"""Flushes whose answers are lost, doubled, or somebody else's."""

from __future__ import annotations

from clients.flushes import Flushes
from streamer.protocols.messages import Flushed


def test_flushes_are_sent_in_order_each_where_it_was_asked_for_and_answered_with_its_marker():
    flushes = Flushes()
    assert flushes.frame is None
    flushes.add(10, "same")
    flushes.add(20, "same")
    flushes.add(20, "x" * 1000)
    frames, sent = [], []
    while flushes.frame is not None:
        frames.append(flushes.frame)
        sent.append(flushes.send())
    assert frames == [10, 20, 20]
    assert len(set(sent)) == 3
    assert max(map(len, sent)) <= 128, "what the protocol allows"
    shown = [flushed for one in sent for flushed in flushes.answer(Flushed(one))]
    assert shown == [Flushed("same"), Flushed("same"), Flushed("x" * 1000)]


def test_what_was_not_answered_is_sent_again_over_the_next_connection_and_nothing_else():
    flushes = Flushes()
    flushes.add(10, "a")
    flushes.add(20, "b")
    flushes.add(30, "c")
    first, second = flushes.send(), flushes.send()
    assert flushes.answer(Flushed(first)) == [Flushed("a")]
    flushes.begin_anew()
    assert flushes.frame == 20
    assert flushes.answer(Flushed(second)) == [Flushed("b")], "to what the connection before had sent"
    assert flushes.frame == 30


def test_an_answer_that_comes_again_or_that_nobody_asked_for_is_not_shown():
    flushes = Flushes()
    flushes.add(10, "a")
    flushes.add(20, "b")
    first = flushes.send()
    flushes.begin_anew()
    assert flushes.send() == first
    assert flushes.answer(Flushed(first)) == [Flushed("a")]
    assert flushes.answer(Flushed(first)) == []
    assert flushes.answer(Flushed("a")) == []
    assert flushes.frame == 20
    assert flushes.answer_all() == [Flushed("b")]
    assert flushes.frame is None
    assert flushes.answer_all() == []
