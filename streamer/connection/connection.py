"""One client from its first message to its last: reads, decodes and writes at the same time.

Theory of operation. Three tasks share a session, and nothing else:

    reader   client's messages ─▶ codec ─▶ session
    decoder  session ─▶ engine ─▶ session, as long as there is something to decode
    writer   session's events ─▶ codec ─▶ client; partials nobody has taken yet give way to newer ones in the session

The input ends once (Ending): by the client's stop, by its disappearance, by silence on the wire, by the server's drain.
Whichever it is, the session is decoded to its end; only if the client asked for it, without a limit of time. A client
that breaks the protocol is told so at once. Every session ends with `done` or `error` and a close code, if anybody is
there to hear it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from time import monotonic

from model.types import SAMPLE_RATE
from streamer.config import ServerConfig
from streamer.connection.ending import GONE, AbandonedError, Ending, culprit, cut_short, fatal, internal
from streamer.connection.lobby import Lobby
from streamer.connection.opening import Opening
from streamer.connection.reader import Reader
from streamer.connection.reception import Reception
from streamer.connection.wire import Disconnected, Wire
from streamer.connection.writer import Writer
from streamer.core.commands import Codec, Configure, ProtocolError
from streamer.core.events import Warned
from streamer.core.session import Session
from streamer.logs import SESSION
from streamer.metrics import Metrics
from streamer.recognition.engine import Engine
from streamer.recognition.governor import Governor
from streamer.recognition.pace import Pace
from streamer.recognition.turn import Turn
from streamer.watching.publisher import Publisher, Unwatched

logger = logging.getLogger(__name__)


class Connection:
    """One client and its session."""

    def __init__(
        self,
        *,
        wire: Wire,
        codec: Codec,
        engine: Engine,
        governor: Governor,
        open_session: Callable[[str, Configure], Session],
        config: ServerConfig,
        max_backlog: int,
        metrics: Metrics,
        session: str | None = None,
        publisher: Publisher | None = None,
        lobby: Lobby | None = None,
        refusal: ProtocolError | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`open_session` makes the session for a name and a client's wishes.

        `max_backlog` in samples; `publisher` hears all that the session says; `clock` gives seconds, the engine's.
        With a `lobby` sessions can be resumed; if there is a `refusal`, nothing but a session that is going on.
        """
        self._wire = wire
        self._codec = codec
        self._engine = engine
        self._governor = governor
        self._open_session = open_session
        self._config = config
        self._max_backlog = max_backlog
        self._metrics = metrics
        self._publisher = publisher or Unwatched()
        self._reception = Reception(session or secrets.token_hex(8), wire, codec, lobby, refusal)
        self._pace = Pace(clock)
        self._work = asyncio.Event()  # the decoder may have something to do
        self._writer = Writer(wire=wire, codec=codec, config=config, metrics=metrics, publisher=self._publisher)
        self._opening = Opening(wire, codec, config.open_timeout_s)
        self._reader: Reader | None = None
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """Name of the session."""
        return self._reception.session

    @property
    def counts(self) -> bool:
        """Whether it takes a session's room: not while its client is away, nor if it only carries one for another."""
        return self._reception.counts

    @property
    def may_resume(self) -> bool:
        """Whether its client, for which there is no room, may mean a session that is going on."""
        return self._reception.may_resume

    def drain(self) -> None:
        """Take no more input, decide what is there, and close with 1012."""
        self._opening.cancel()
        if self._reader is not None:
            self._reader.drain()

    def cut(self) -> None:
        """End now, whatever is undecided."""
        self.drain()
        if self._reader is not None:
            self._reader.cut()

    def drop(self) -> None:
        """End without a word: it was cut and did not end."""
        if self._task is not None:
            self._task.cancel()

    def warn(self, warning: Warned) -> None:
        """Tell the client something, if its session is open."""
        if self._session is not None and not self._session.done:
            self._session.notify(warning)
            self._writer.wake()

    async def refuse(self, error: ProtocolError) -> None:
        """Say why the client is not served, and close."""
        await self._writer.part(fatal(error))

    async def run(self) -> None:
        """Serve the client to its end. Raises nothing: whatever goes wrong is this client's alone."""
        SESSION.set(self.id)
        self._task = asyncio.current_task()
        try:
            ending = await self._serve()
            if ending is not None:
                await self._end(ending)
        except Exception:
            logger.exception("the end of a session failed")
        finally:
            self._reception.leave()  # or nobody could have the session again, and who waits for it waits for ever
            if self._session is not None:
                # What is left of a connection refers to itself in many places, and so waits for Python's collector of
                # cycles, minutes perhaps. Megabytes of audio must not.
                self._session.release()

    async def _serve(self) -> Ending | None:
        """Serve the client up to its last words; return None if another connection's session has them."""
        try:
            configure = await self._opening.configure()
            if await self._reception.carry(configure):
                return None
            return await self._converse(configure)
        except Disconnected:
            return GONE
        except ProtocolError as error:
            return fatal(error)
        except Exception:
            logger.exception("session failed")
            return internal()

    async def _converse(self, configure: Configure) -> Ending:
        """Open the session and run it to its end. Raises what ended it early."""
        self._session = session = self._open_session(self.id, configure)
        if (seat := self._reception.open(session, configure)) is not None:
            self._wire = seat.line
            self._writer.take(seat)
        self._metrics.opened()
        logger.info("session opened", extra={"language": configure.language, "task": str(configure.task)})
        self._publisher.begin(self.id, configure.language, self._reception.past)
        for message in self._codec.welcome(self.id) if seat is None else ():
            await self._wire.send(message)
        if self._opening.cancelled:
            raise cut_short()
        self._reader = reader = Reader(
            wire=self._wire,
            codec=self._codec,
            session=session,
            config=self._config,
            max_backlog=self._max_backlog,
            metrics=self._metrics,
            pace=self._pace,
            wake=lambda: self._wake(session),
            seat=seat,
        )
        try:
            return await self._run_tasks(session, reader)
        except ExceptionGroup as group:
            error = culprit(group)
            if not isinstance(error, AbandonedError):
                raise error from None
            logger.warning("session abandoned: %s", error)
            if self._wire.gone or reader.ending in {None, GONE}:
                return GONE
            return fatal((reader.ending and reader.ending.error) or cut_short())

    async def _run_tasks(self, session: Session, reader: Reader) -> Ending:
        """Read, decode and write until the session's last event is written."""
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(reader.run()), group.create_task(self._decode(session, reader))
            failure = await self._writer.run(session, reader)
            for task in tasks:
                task.cancel()
        ending = failure or reader.ending
        assert ending is not None, "a session is done only after its input has ended"
        return ending

    async def _decode(self, session: Session, reader: Reader) -> None:
        """Keep the engine at work on the session until it is done."""
        turn = Turn(session, self._pace)
        try:
            while not session.done:
                session.stretch(self._governor.interval)
                if not session.wants_decode:
                    self._work.clear()
                    await self._work.wait()
                    continue
                await turn.take(self._engine)
                self._writer.wake()
                reader.make_room()
        finally:
            self._engine.forget(self.id)

    async def _end(self, ending: Ending) -> None:
        """Tell viewers and client that it is over."""
        self._reception.close()
        try:
            received = self._session.received if self._session else 0
            stopped = self._reader is not None and self._reader.stopped
            self._publisher.end(received, resumable=self._reception.resumable and not stopped)
        finally:
            await self._part(ending)

    async def _part(self, ending: Ending) -> None:
        """Say the last words and close."""
        if ending.error:
            self._metrics.error(ending.error.code)
        fields: dict[str, float | str] = {"audio_s": self._session.received / SAMPLE_RATE if self._session else 0.0}
        if ending.close is not None:
            fields["close"] = int(ending.close)
        if ending.error:
            fields["error"] = ending.error.message
        logger.info("session ended", extra=fields)
        await self._writer.part(ending)

    def _wake(self, session: Session) -> None:
        """Wake those who have something to do: most chunks of audio are nothing to either."""
        if session.wants_decode or session.done:
            self._work.set()
        if session.untold or self._reception.news(session):
            self._writer.wake()
