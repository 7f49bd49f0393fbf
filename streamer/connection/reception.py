"""How a client comes in: with a new session, or back to one that is going on or that the journal knows."""

from __future__ import annotations

import logging

from streamer.connection.line import Attachment
from streamer.connection.lobby import Lobby, concluding, taken_over, unknown
from streamer.connection.seat import Seat
from streamer.connection.wire import Disconnected, Wire
from streamer.core.commands import Claim, Codec, Configure, ErrorCode, ProtocolError
from streamer.core.session import Session
from streamer.journal.records import Entry, Standing
from streamer.logs import SESSION
from streamer.protocols.native import NativeCodec
from streamer.watching.past import Past

logger = logging.getLogger(__name__)

NO_ROOM = frozenset({ErrorCode.BUSY, ErrorCode.OVERLOADED})


class Reception:
    """One connection's; without a lobby every session is new and ends with its connection."""

    def __init__(
        self, session: str, wire: Wire, codec: Codec, lobby: Lobby | None, refusal: ProtocolError | None
    ) -> None:
        """`session` is the name of a new one; a `refusal` holds for every session that is not going on already."""
        self.session = session
        """Name of the session."""
        self._wire = wire
        self._codec = codec
        self._lobby = lobby if lobby is not None and lobby.patience_s else None
        self._refusal = refusal
        self._standing: Standing | None = None
        self._seat: Seat | None = None
        self._carries = False

    @property
    def counts(self) -> bool:
        """Whether the connection takes a session's room."""
        return not self._carries and (self._seat is None or self._seat.line.attached)

    @property
    def may_resume(self) -> bool:
        """Whether a client for which there is no room may mean a session that is going on."""
        no_room = self._refusal is not None and self._refusal.code in NO_ROOM
        return no_room and self._lobby is not None and self._lobby.occupied and isinstance(self._codec, NativeCodec)

    async def carry(self, configure: Configure) -> bool:
        """Give the wire to the session that is claimed and stay until it is done with it, if it is going on.

        Returns False for a session that is new or that the journal knows. Raises ProtocolError for a claim that is not
        good, and if there is no room.
        """
        claim = configure.claim
        if claim is not None:
            if self._lobby is None:
                raise unknown()
            if await self._return(self._lobby, claim):
                return True
            self.session = claim.session
            SESSION.set(claim.session)
        if self._refusal is not None:
            raise self._refusal
        return False

    def open(self, session: Session, configure: Configure) -> Seat | None:
        """Let a session be found again, if its client wants that, and let it go on where it stood, if it did."""
        if self._lobby is None or not configure.resumable:
            return None
        assert isinstance(self._codec, NativeCodec), "no other protocol resumes sessions"
        claim = configure.claim
        self._seat = self._lobby.open(self.session, self._wire, self._codec, claim, self._standing)
        if self._standing is not None and claim is not None:
            self._seat.restore(session, self._standing, claim, configure.language or "")
        return self._seat

    @property
    def resumable(self) -> bool:
        """Whether the session can be had from the journal after its end."""
        return self._seat is not None

    @property
    def past(self) -> Past | None:
        """What a session said that the journal lets go on; None for a new one."""
        if self._seat is None or self._standing is None or self._lobby is None:
            return None
        entries = self._standing.entries
        last = entries[-1].number if entries else 0
        return Past(self._lobby.journal, self.session, last, self._seat.record.commits)

    def news(self, session: Session) -> bool:
        """Say whether there is something to tell that is no event."""
        return self._seat is not None and (self._seat.expected or self._seat.record.due(session))

    def close(self) -> None:
        """Let no client come back to the session while it ends."""
        if self._seat is not None:
            self._seat.close()

    def leave(self) -> None:
        """Let the session be found in the journal only."""
        if self._seat is not None and self._lobby is not None:
            self._lobby.leave(self.session)

    async def _return(self, lobby: Lobby, claim: Claim) -> bool:
        """Return to a session that is going on, and stay; if there is none, look up how it stands."""
        assert isinstance(self._codec, NativeCodec), "no other protocol resumes sessions"
        while True:  # while the journal is asked, a session may end, or another connection may bring it back
            seat = lobby.seat(claim)
            if seat is not None:
                self._standing = None
                seat.check(self._codec, claim)
                reached = await lobby.reach(seat, claim)
                if lobby.seat(claim) is seat and not seat.closed:
                    await self._attach(seat, claim, reached)
                    return True
            elif self._standing is None and self._refusal is None:
                self._standing = await lobby.standing(claim)
            else:
                return False

    async def _attach(self, seat: Seat, claim: Claim, reached: tuple[Entry, ...]) -> None:
        """Lend the wire to a session until it needs it no more."""
        self._carries = True
        SESSION.set(claim.session)
        logger.info("session resumed", extra={"commits": claim.have})
        attachment, older = seat.line.attach(self._wire, claim, reached)
        if older is not None:
            await self._dismiss(older)
        await attachment.over.wait()
        if not attachment.answered:
            raise concluding()

    async def _dismiss(self, older: Attachment) -> None:
        """Tell the client that was there before that it is not any more."""
        error = taken_over()
        try:
            for message in self._codec.refuse(error):
                await older.wire.send(message)
            await older.wire.close(*self._codec.closing(error.close, error))
        except Disconnected:
            pass
        except Exception:
            logger.exception("the older client of a session could not be told")  # which is nothing to the newer one
        finally:
            older.over.set()
