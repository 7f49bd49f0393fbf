"""What is sent when: everything once over each connection, in order, and nothing after stop."""

from __future__ import annotations

import pytest

from clients.outgoing import Outgoing, Piece
from streamer.protocols.messages import Flush, Stop


def all_of(outgoing: Outgoing, limit: int | None = None) -> list[Piece]:
    pieces = []
    while (piece := outgoing.take(limit)) is not None:
        pieces.append(piece)
    return pieces


def test_audio_goes_in_pieces_flushes_where_they_were_asked_for_and_stop_last():
    outgoing = Outgoing(2, 100, piece=3)
    outgoing.ring.append(b"aabbccdd")
    outgoing.flush("here")
    outgoing.ring.append(b"ee")
    outgoing.stop()
    assert all_of(outgoing) == [b"aabbcc", b"dd", Flush("1"), b"ee", Stop()]
    assert outgoing.stopped
    outgoing.begin_anew(3)
    assert not outgoing.stopped
    assert all_of(outgoing) == [b"dd", Flush("1"), b"ee", Stop()]


def test_nothing_is_sent_beyond_the_limit_and_no_stop_before_everything():
    outgoing = Outgoing(1, 100, piece=10)
    outgoing.ring.append(b"abcdef")
    outgoing.stop()
    assert all_of(outgoing, 4) == [b"abcd"]
    assert all_of(outgoing, 6) == [b"ef", Stop()]


def test_bytes_of_a_frame_that_is_never_complete_go_before_each_stop():
    outgoing = Outgoing(2, 100, piece=10)
    outgoing.ring.append(b"aab")
    assert all_of(outgoing) == [b"aa"], "the rest may still come"
    outgoing.stop()
    assert all_of(outgoing) == [b"b", Stop()]
    outgoing.begin_anew(1)
    assert all_of(outgoing) == [b"b", Stop()]


@pytest.mark.parametrize("beats_after_stop", [False, True])
def test_a_sign_of_life_goes_once_and_never_after_stop(beats_after_stop: bool):
    outgoing = Outgoing(1, 100, piece=10)
    outgoing.beat()
    outgoing.beat()
    assert all_of(outgoing) == [b""]
    outgoing.beat()
    outgoing.stop()
    if beats_after_stop:
        assert outgoing.take(None) == Stop()
        outgoing.beat()
        assert all_of(outgoing) == []
    else:
        assert all_of(outgoing) == [Stop()]


def test_audio_that_has_left_the_ring_unsent_is_an_overrun():
    outgoing = Outgoing(1, 10, piece=2)
    outgoing.ring.append(b"0123456789")
    assert not outgoing.has_room
    assert outgoing.take(None) == b"01"
    outgoing.ring.append(b"ab")
    assert not outgoing.has_overrun
    outgoing.ring.append(b"c")
    assert outgoing.has_overrun
    outgoing.begin_anew(3)
    assert all_of(outgoing) == [b"34", b"56", b"78", b"9a", b"bc"]
    outgoing.ring.let_go(13)
    assert outgoing.has_room
    outgoing.begin_anew(20)
    assert outgoing.next == 13, "no further than there is audio"


def test_there_is_room_for_a_piece_where_little_waits_to_be_sent_and_it_pushes_nothing_out():
    outgoing = Outgoing(1, 10, piece=2)
    outgoing.ring.append(b"012")
    assert outgoing.has_room
    outgoing.ring.append(b"3")
    assert not outgoing.has_room, "two pieces wait"
    assert all_of(outgoing) == [b"01", b"23"]
    assert outgoing.has_room
    outgoing.ring.append(b"45678")
    assert all_of(outgoing) == [b"45", b"67", b"8"]
    assert not outgoing.has_room, "nothing is decided yet"
    outgoing.ring.let_go(1)
    assert outgoing.has_room
