"""Where sessions can be found again: those that wait for their client or still think they have it, and the journal."""

from __future__ import annotations

import hmac
import secrets

from streamer.connection.line import Line
from streamer.connection.record import Record
from streamer.connection.seat import Seat
from streamer.connection.wire import Wire
from streamer.core.commands import Claim, Close, ErrorCode, ProtocolError
from streamer.journal.journal import Journal, hashed
from streamer.journal.records import Entry, Standing
from streamer.journal.writes import SilentError
from streamer.protocols.native import NativeCodec

NOBODY = hashed("")
"""Compared where there is no session, so that the answer takes as long."""


class Lobby:
    """The sessions of one daemon that can be resumed. At most `most` of them may be without a client."""

    def __init__(self, journal: Journal, patience_s: float, most: int) -> None:
        """Let a session wait `patience_s` seconds for a client that was lost, and less if too many wait."""
        self.journal = journal
        self.patience_s = patience_s
        self._most = most
        self._seats: dict[str, Seat] = {}
        self._lost: dict[str, None] = {}  # in the order in which their clients were lost

    @property
    def waiting(self) -> int:
        """Sessions without a client."""
        return sum(not seat.line.attached for seat in self._seats.values())

    @property
    def occupied(self) -> bool:
        """Whether there is a session that could be resumed without taking room."""
        return bool(self._seats)

    def open(
        self, session: str, wire: Wire, codec: NativeCodec, claim: Claim | None, standing: Standing | None
    ) -> Seat:
        """Let a session be found that is new, or goes on as it stands."""
        record = Record(self.journal, session, claim.token if claim else secrets.token_hex(16), standing)
        line = Line(wire, claim, self.patience_s, lambda: self._lose(session), standing.entries if standing else ())
        self._seats[session] = seat = Seat(session, line, record, codec)
        return seat

    def leave(self, session: str) -> None:
        """Let it be found in the journal only."""
        seat = self._seats.pop(session)
        self._lost.pop(session, None)
        seat.line.end()
        seat.record.close()

    def seat(self, claim: Claim) -> Seat | None:
        """Return the session that a client claims, if it is going on. Raises ProtocolError for a wrong token."""
        seat = self._seats.get(claim.session)
        if seat is not None and not matches(claim, hashed(seat.record.token)):
            raise unknown()
        return seat

    async def reach(self, seat: Seat, claim: Claim) -> tuple[Entry, ...]:
        """Return what was told in a session, as far back as a client needs it.

        Raises ProtocolError if only the journal knows that, and does not answer at the moment; or if the session is
        about to end, and to be had from the journal.
        """
        if seat.closed:
            raise concluding()
        try:
            return await seat.record.reach(claim.have)
        except SilentError as error:
            raise silent(error) from None

    async def standing(self, claim: Claim) -> Standing:
        """Return how the session stands that a client claims.

        Raises ProtocolError if nobody knows, or not this one, or if the journal does not answer at the moment.
        """
        # Whatever the journal's name was when the client was told it: one that was begun anew meanwhile has the session
        # too, with all that was said since, and no other session has its token.
        try:
            standing = await self.journal.find(claim.session, claim.have, hashed(claim.token))
        except SilentError as error:
            raise silent(error) from None
        if not matches(claim, NOBODY if standing is None else standing.token) or standing is None:
            raise unknown()
        return standing

    def _lose(self, session: str) -> None:
        """Note that a session has lost its client; of too many, those wait no longer that have waited longest."""
        self._lost.pop(session, None)
        self._lost[session] = None
        waiting = [name for name in self._lost if not self._seats[name].line.attached]
        for name in waiting[: max(0, len(waiting) - self._most)]:
            self._seats[name].line.give_up()


def matches(claim: Claim, token: bytes) -> bool:
    """Say whether a claim has the right token, in a time that tells nothing about it."""
    return hmac.compare_digest(hashed(claim.token), token)


def unknown() -> ProtocolError:
    """Return what is said to a client whose session cannot be resumed: one answer for every reason."""
    complaint = "no such session can be resumed here; begin a new one"
    return ProtocolError(ErrorCode.RESUME_UNKNOWN, complaint, Close.UNKNOWN_SESSION)


def silent(error: SilentError) -> ProtocolError:
    """Return what is said to a client of which nobody can say at the moment what it has missed."""
    complaint = f"what was said meanwhile cannot be read at the moment ({error}); try later"
    return ProtocolError(ErrorCode.NOT_READY, complaint, Close.TRY_LATER)


def concluding() -> ProtocolError:
    """Return what is said to a client that comes while its session, which waited in vain, is decided to its end."""
    complaint = "the session is being decided as far as it was received, and can be resumed then; try later"
    return ProtocolError(ErrorCode.NOT_READY, complaint, Close.TRY_LATER)


def taken_over() -> ProtocolError:
    """Return what the older of two clients of one session is told."""
    complaint = "the session goes on over a newer connection"
    return ProtocolError(ErrorCode.TAKEN_OVER, complaint, Close.TAKEN_OVER)
