"""Clients that come back while their session comes and goes."""

from __future__ import annotations

from typing import Any

from streamer.connection.reception import Reception
from streamer.core.commands import Claim, Configure
from streamer.journal.records import Standing
from streamer.protocols.native import NativeCodec


class Seat:
    """Of a session that is going on."""

    closed = False

    def check(self, codec: NativeCodec, claim: Claim) -> None:
        """Let every client back."""


class Lobby:
    """Finds what it is told to, each time it is asked."""

    patience_s = 1.0

    def __init__(self, seats: list[Seat | None], standings: list[Standing]) -> None:
        self._seats, self._standings = seats, standings

    def seat(self, claim: Claim) -> Seat | None:
        """Return what is there at the moment."""
        return self._seats.pop(0)

    async def reach(self, seat: Seat, claim: Claim) -> tuple[()]:
        """Take as long as the journal does."""
        return ()

    async def standing(self, claim: Claim) -> Standing:
        """Return what the journal has by now."""
        return self._standings.pop(0)


async def test_a_session_that_went_on_and_ended_while_it_was_looked_up_is_looked_up_again() -> None:
    earlier, later = Standing(b"", 1000, ()), Standing(b"", 2000, ())
    lobby: Any = Lobby([None, Seat(), None, None, None], [earlier, later])
    wire: Any = None
    reception = Reception("new", wire, NativeCodec("m", {"en": "english"}), lobby, None)

    assert not await reception.carry(Configure(resumable=True, claim=Claim("s", "t", "e", 0, 0, 0)))
    assert (reception.session, reception._standing) == ("s", later)
