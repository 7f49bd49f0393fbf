"""A session that can be resumed, beside its client: where it sits when the client is away, and how it is greeted."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.connection.line import Attachment, Line
from streamer.connection.record import Record
from streamer.core.commands import Claim, Close, Command, ErrorCode, Message, ProtocolError
from streamer.core.events import Commit, Event, Final, Gap
from streamer.core.session import Session
from streamer.journal.records import Standing
from streamer.protocols.checks import check_most
from streamer.protocols.native import NativeCodec
from streamer.protocols.resumption import Welcome

LASTING = Commit | Final | Gap


class Seat:
    """Holds a session's line, its record and the codec that counts its audio."""

    def __init__(self, session: str, line: Line, record: Record, codec: NativeCodec) -> None:
        """`codec` is the one of the client that began the session, or the first that came back to it."""
        self.line = line
        self.record = record
        self._session = session
        self._codec = codec
        self._client: Attachment | None = None
        self._news = False
        self.expected = False
        """Whether a client has come and was not greeted yet."""
        self.closed = False
        """Whether nobody reads any more: what was received is decided, then the session is the journal's."""

    def restore(self, session: Session, standing: Standing, claim: Claim, language: str) -> None:
        """Let a session go on where the journal leaves it, or, if its last lines were lost, where the client has it."""
        settled = max(standing.settled, self._codec.covered(claim))
        self._codec.begin_at(settled)
        commits = self.record.commits = max(standing.commits, claim.have)
        session.begin_at(settled, utterances=standing.utterances, commits=commits)
        told = standing.open_utterance()
        if told:
            text = "".join(commit.text for commit in told)
            session.close_utterance(Final(told[0].utterance, text, told[0].start, settled, language))

    def close(self) -> None:
        """Take no client any more."""
        self.closed = True

    def check(self, codec: NativeCodec, claim: Claim) -> None:
        """Raise ProtocolError if a client that comes back sends its audio in another way, or has what was not said."""
        check_most("resume.have", claim.have, self.record.commits)
        if not self._codec.alike(codec):
            complaint = "a session must be resumed with the sample_rate, encoding and channels that it was begun with"
            raise ProtocolError(ErrorCode.BAD_VALUE, complaint, Close.NOT_ALLOWED)

    def turn(self) -> Iterator[Command]:
        """Turn to the client that has come: yield what follows from what it cannot send any more."""
        self._client = self.line.answer()
        if self._client.claim is not None:
            yield from self._codec.take_over(self._client.claim.first)
        self.expected = True

    async def missed(self) -> list[Event]:
        """Let the client have what is said from now on; return what was said for good and it does not have."""
        await self.record.note((), self.record.settled)  # known before its client is told so
        self.expected = False
        self.line.open()
        client = self._client
        if client is None or client.claim is None:
            return []
        reached, client.reached = client.reached, ()
        return list(self.record.since(client.claim.have, self._codec.covered(client.claim), reached))

    def welcome(self) -> Iterator[Message]:
        """Answer `start`."""
        record = self.record
        return self._codec.readmit(Welcome(self._session, record.token, record.epoch, self._codec.received))

    async def write(self, session: Session) -> list[Event]:
        """Take what a session tells, and write down what lasts of it."""
        events = list(session.events())
        if not any(isinstance(event, LASTING) for event in events) and not self.record.due(session):
            return events
        self._news = True
        return await self.record.note(events, session.settled)

    def acknowledgement(self) -> Iterator[Message]:
        """Say how far the audio is decided, if that has changed."""
        if self._news:
            self._news = False
            yield from self._codec.acknowledge(self.record.settled)
