"""What a connection brings is parsed in turns, in order, and none of it is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamer.network import turnstile
from streamer.network.flow import READ_BYTES
from streamer.network.turnstile import PORTION_BYTES, Turnstile

DATA = bytes(range(256)) * 4 * (READ_BYTES // 256)


class Parser(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.heard: list[bytes] = []
        self.lost = False
        self.may_write = True
        self.on_data = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take data."""
        assert not self.lost
        self.heard.append(data)
        self.on_data()

    def pause_writing(self) -> None:
        """Write no more."""
        self.may_write = False

    def resume_writing(self) -> None:
        """Write on."""
        self.may_write = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear of the end."""
        del exc
        self.lost = True

    @property
    def text(self) -> bytes:
        """Everything."""
        return b"".join(self.heard)


class Transport:
    """Stands for asyncio's, without a socket."""

    max_size = 1 << 18
    reading = True
    closing = False

    def pause_reading(self) -> None:
        """Read no further."""
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        assert not self.closing, "under TLS what is gone cannot even be told"
        self.reading = True

    def is_closing(self) -> bool:
        """Tell whether it is closed."""
        return self.closing

    def close(self) -> None:
        """Close."""
        self.closing = True

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""

    def can_write_eof(self) -> bool:
        """Have one direction only."""
        return False


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every portion use up its turn."""
    monkeypatch.setattr(turnstile, "TURN_S", 0.0)
    monkeypatch.setattr(turnstile, "CHEAP_S", 0.0)


def make() -> tuple[Turnstile, Parser, Transport]:
    parser, transport = Parser(), Transport()
    stile = Turnstile(parser)
    stile.connection_made(transport)  # type: ignore[arg-type]  # as much of one as is used
    return stile, parser, transport


@pytest.mark.usefixtures("dear")
async def test_what_is_dear_is_parsed_a_portion_in_a_turn_and_no_more_is_read_meanwhile() -> None:
    stile, parser, transport = make()
    stile.data_received(DATA)

    for turn in range(1, len(DATA) // PORTION_BYTES + 1):
        assert [len(portion) for portion in parser.heard] == [PORTION_BYTES] * turn
        assert transport.reading == (parser.text == DATA)
        await asyncio.sleep(0)
    assert parser.text == DATA


async def test_what_is_cheap_is_parsed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "TURN_S", 60)
    stile, parser, transport = make()
    stile.data_received(DATA)

    assert parser.text == DATA
    assert transport.reading


@pytest.mark.usefixtures("dear")
async def test_an_upload_is_not_cut() -> None:
    stile, parser, transport = make()
    assert transport.max_size == READ_BYTES
    stile.expect(len(DATA))
    stile.data_received(DATA)

    assert parser.heard == [DATA]
    assert transport.max_size > READ_BYTES
    stile.expect(0)
    assert transport.max_size == READ_BYTES, "what follows may be dear"


@pytest.mark.usefixtures("dear")
async def test_a_parser_that_wants_no_more_is_given_no_more_until_it_does() -> None:
    stile, parser, transport = make()
    parser.on_data = stile.pause_reading
    stile.data_received(DATA)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(parser.heard) == 1

    stile.resume_reading()
    await asyncio.sleep(0)
    assert len(parser.heard) == 2
    assert not transport.reading


async def test_a_parser_whose_client_did_not_read_writes_on_when_it_does() -> None:
    stile, parser, _ = make()
    stile.pause_writing()
    assert not parser.may_write
    stile.resume_writing()
    assert parser.may_write


@pytest.mark.usefixtures("dear")
async def test_what_came_before_the_client_left_is_heard_before_that_it_left() -> None:
    stile, parser, transport = make()
    parser.on_data = stile.pause_reading
    stile.data_received(DATA)
    transport.closing = True
    stile.connection_lost(None)
    while not parser.lost:
        assert not stile.is_closing() or parser.text == DATA
        await asyncio.sleep(0)

    assert parser.text == DATA
    assert stile.is_closing()
    stile.lingers_s = 60.0
    stile.close()


@pytest.mark.usefixtures("dear")
@pytest.mark.parametrize("lingers", [0.0, 60.0])
async def test_after_its_own_end_a_parser_hears_nothing_but_the_end(lingers: float) -> None:
    stile, parser, transport = make()
    stile.lingers_s = lingers
    parser.on_data = stile.close
    stile.data_received(DATA)
    stile.data_received(DATA)
    await asyncio.sleep(0)

    assert len(parser.heard) == 1
    assert stile.is_closing()
    assert transport.closing == (not lingers)
    assert transport.reading, "or a client that is still sending would be reset"
    stile.close()
    assert transport.closing
    stile.connection_lost(None)
    assert parser.lost


@pytest.mark.usefixtures("dear")
async def test_a_parser_that_fails_hears_no_more() -> None:
    stile, parser, _ = make()

    def fail() -> None:
        raise LookupError

    parser.on_data = fail
    with pytest.raises(LookupError):
        stile.data_received(DATA)
    await asyncio.sleep(0)
    stile.connection_lost(None)

    assert len(parser.heard) == 1
    assert parser.lost


@pytest.mark.usefixtures("dear")
async def test_what_follows_a_request_for_another_protocol_before_its_answer_is_heard_by_nobody() -> None:
    stile, parser, _ = make()
    other = Parser()
    parser.on_data = lambda: stile.set_protocol(other)
    stile.data_received(DATA)
    await asyncio.sleep(0)
    assert (len(parser.heard), other.heard) == (1, [])

    stile.data_received(b"an answered client")
    assert (len(parser.heard), other.text) == (1, b"an answered client")
