"""The input side of a connection: a client's messages into its session, up to the end, whichever way it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, assert_never

from model.types import SAMPLE_RATE, Samples
from streamer.config import ServerConfig
from streamer.connection.ending import DRAINED, GONE, AbandonedError, Ending, handed_over, idle
from streamer.connection.patience import Patience
from streamer.connection.seat import Seat
from streamer.connection.wire import Disconnected, Reattached, Wire
from streamer.core.commands import (
    Audio,
    Close,
    Codec,
    Configure,
    Discard,
    Flush,
    Mark,
    Message,
    Missing,
    Stop,
    Warn,
)
from streamer.core.session import Session
from streamer.metrics import Metrics
from streamer.recognition.pace import Pace

TURN_SAMPLES = SAMPLE_RATE // 2
"""Audio taken from one client before the others have their turn: a millisecond of work."""
TURN_MESSAGES = 8
"""Messages of any length, likewise. A turn for each is a round of the event loop for each."""
MOST_UNTOLD = 1024
"""Events and unanswered flushes a session may hold: a client that makes more is read no faster than it reads."""


class Reader:
    """Feeds one session. It stops reading while the backlog is full: TCP then slows the client, nothing is dropped."""

    def __init__(
        self,
        *,
        wire: Wire,
        codec: Codec,
        session: Session,
        config: ServerConfig,
        max_backlog: int,
        metrics: Metrics,
        pace: Pace,
        wake: Callable[[], None],
        seat: Seat | None = None,
    ) -> None:
        """`max_backlog` in samples; `wake` is called when the session has something new; `seat`: a resumable one's."""
        self._wire = wire
        self._codec = codec
        self._session = session
        self._config = config
        self._max_backlog = max_backlog
        self._metrics = metrics
        self._pace = pace
        self._wake = wake
        self._seat = seat
        self._room = asyncio.Event()
        self._taken = 0  # samples since the others had their turn
        self._patience = Patience()
        self._draining = False
        self._cut = False
        self.ending: Ending | None = None
        """How the input ended; None while it goes on."""
        self.stopped = False
        """Whether the client said that this was all, wherever it is by now."""

    def make_room(self) -> None:
        """Say that the backlog may have shrunk."""
        self._room.set()

    def drain(self) -> None:
        """End the input now; what was received is still decided."""
        self._draining = True
        if self.ending is None:
            self._patience.shorten(0)

    def cut(self) -> None:
        """End everything now, whatever is undecided."""
        self._draining = self._cut = True
        self._patience.shorten(0)

    async def run(self) -> None:
        """Feed the session until the input ends, then watch over the rest; runs until it is cancelled.

        Raises ProtocolError for what the client must not send, AbandonedError if the rest takes too long.
        """
        try:
            async with self._patience.limited(0 if self._draining else None):
                self.ending = await self._listen()
                self.stopped = self.ending.by_client
        except TimeoutError:
            if self._seat is not None and self._seat.record.outlives_daemon and not self._cut:
                raise handed_over() from None
            self.ending = DRAINED
        if not self.ending.by_client:
            for samples in self._codec.leftover():
                self._session.receive_audio(samples)
        self._session.receive_eof()
        self._wake()
        await self._await_end(self.ending)

    async def _listen(self) -> Ending:
        """Take the client's commands until the input ends."""
        while True:
            try:
                message = await self._receive(self._config.idle_timeout_s or None)
            except Disconnected:
                return GONE
            except TimeoutError:
                return idle(self._config.idle_timeout_s)
            for command in self._codec.decode(message) if message is not None else ():
                if isinstance(command, Stop):
                    return Ending(command.error.close if command.error else Close.NORMAL, command.error, by_client=True)
                await self._obey(command)
            await self._share(TURN_SAMPLES // TURN_MESSAGES)

    async def _receive(self, idle_s: float | None = None) -> Message | None:
        """Return the client's next message, or None if another client has come in its place, to which all turn.

        Raises TimeoutError if it is there and says nothing for `idle_s` seconds, Disconnected if it is lost and does
        not come back, for which it has a time of its own.
        """
        try:
            async with asyncio.timeout(idle_s):
                return await self._wire.receive()
        except Reattached:
            pass
        except Disconnected:
            if self._seat is None:
                raise
            await self._seat.line.await_client()
        await self._turn()
        return None

    async def _turn(self) -> None:
        """Go on with the client that has come back."""
        assert self._seat is not None, "only a session that can be resumed has other clients"
        for command in self._seat.turn():
            assert not isinstance(command, Stop), "the audio goes on"
            await self._obey(command)
        self._wake()

    async def _obey(self, command: Audio | Flush | Mark | Discard | Missing | Warn | Configure) -> None:
        """Do what a command says; wait while the session holds as much as it may."""
        match command:
            case Audio(samples):
                await self._feed(samples)
                return
            case Flush(marker):
                self._session.receive_flush(marker)
            case Mark(marker):
                self._session.receive_mark(marker)
            case Discard():
                self._session.discard()
            case Missing(samples, reason):
                self._session.receive_gap(samples, reason)
            case Warn(code, message):
                self._session.warn(code, message)
            case Configure():
                self._session.reconfigure(command)
            case unreachable:
                assert_never(unreachable)
        self._wake()
        await self._await_room()

    async def _feed(self, samples: Samples) -> None:
        """Give audio to the session; give others their turn now and then; wait while the backlog is full."""
        self._session.receive_audio(samples)
        self._pace.note_arrival(self._session.received)
        self._metrics.heard(len(samples))
        self._wake()
        await self._share(len(samples))
        await self._await_room()

    async def _share(self, taken: int) -> None:
        """Count what was taken from this client, in samples; when it is its share, let others have their turn.

        Thousands of small messages can come in one read, and none of them needs to be waited for.
        """
        self._taken += taken
        if self._taken >= TURN_SAMPLES:
            self._taken = 0
            await asyncio.sleep(0)

    @property
    def _full(self) -> bool:
        return self._session.backlog >= self._max_backlog or self._session.untold >= MOST_UNTOLD

    async def _await_room(self) -> None:
        """Read no further while the session holds as much as it may."""
        if self._full:
            self._metrics.stalls.inc()
        while self._full:
            self._room.clear()
            await self._room.wait()

    async def _await_end(self, ending: Ending) -> NoReturn:
        """Wait to be cancelled when everything is decided; a client that stopped is watched meanwhile."""
        bound = 0 if self._cut else self._config.drain_timeout_s
        waiting = ending.by_client and not self._cut
        try:
            async with self._patience.limited(None if waiting else bound):
                if waiting:
                    with suppress(Disconnected):
                        await self._refuse_input()
                    self.ending = GONE
                    self._patience.shorten(bound)
                if self._seat is not None:
                    self._seat.close()
                while True:
                    await asyncio.Event().wait()
        except TimeoutError:
            raise AbandonedError("time is up and not everything is decided") from None

    async def _refuse_input(self) -> NoReturn:
        """Read on after stop: the codec objects to what must not come. Raises Disconnected, ProtocolError."""
        while True:
            message = await self._receive()
            for command in self._codec.decode(message) if message is not None else ():
                raise AssertionError(f"a codec yields nothing after Stop, got {command}")
            await self._share(TURN_SAMPLES // TURN_MESSAGES)
