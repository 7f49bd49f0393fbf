"""A stream that outlives its connections: audio is kept until it is decided, and sent again where it was lost.

Theory of operation. Audio goes into a ring of RING_S, and from there to the server: never more than IN_FLIGHT_S beyond
what is decided, so that a server that is behind still reads our pings, and its silence means that it is gone. When a
connection ends without `done` another one is made, and both sides go on where the server says. What has left the ring
by then, or may leave it meanwhile, is one gap, which the server records. A server that does not know the session (any
more) gets a new one, with what is in the ring; numbers and times of what it says go on from those before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeAlias

import msgspec

from clients.connection import Stream
from clients.errors import ConnectionLost, StreamError, Unreachable
from clients.news import News
from clients.outgoing import Outgoing, Piece
from clients.pcm import encoded
from clients.receipts import Receipts
from clients.received import FromServer
from clients.return_path import ReturnPath
from model.types import Samples
from streamer.core.audio import Encoding
from streamer.core.commands import Close
from streamer.protocols import messages

RING_S = 75
"""Audio that is kept while it is not decided: a cut of 60 s, what was undecided before it, and the way back. Of a live
source as much more as comes during an attempt to come back, which must not push out what a server was promised."""
IN_FLIGHT_S = 45
"""Audio beyond what is decided that is sent at most: more than a window, which always brings a decision."""
PIECE_S = 0.5
"""Audio sent at once."""
ROUNDING_S = 0.01
"""Audio that `done` may lack: resampling rounds to a sample, once more after each gap."""

Dial: TypeAlias = Callable[[messages.Start], AbstractAsyncContextManager[Stream]]


class ResumingStream:
    """An open stream; made by `connect_resuming`. Iterating ends after `done`."""

    def __init__(
        self,
        start: messages.Start,
        ready: messages.Ready,
        *,
        live: bool,
        notice: Callable[[str], None],
        give_up_s: float | None,
        attempt_s: float,
    ) -> None:
        """`ready` is what the first connection was told; `attempt_s`: how long an attempt to come back takes at most.

        The rest as for `connect_resuming`.
        """
        self.ready = ready
        """What the server said of the session and the model."""
        self._start = start
        self._live = live
        self._encoding = Encoding(start.encoding)
        rate = start.sample_rate
        piece, frame_bytes = int(PIECE_S * rate), self._encoding.sample_bytes * start.channels
        self._in_flight, self._piece_bytes = IN_FLIGHT_S * rate, piece * frame_bytes
        self._on_the_way = math.ceil(attempt_s * rate) if live else 0
        self._outgoing = Outgoing(frame_bytes, RING_S * rate + self._on_the_way, piece)
        self._ring = self._outgoing.ring
        self._receipts = Receipts(rate)
        self._way_back = ReturnPath(self._receipts, notice, give_up_s)
        self._news = News()
        self._work = asyncio.Event()  # something may have to be sent
        self._room = asyncio.Event()  # the ring may have room
        self._over = False

    async def send_audio(self, audio: bytes | Samples) -> None:
        """Send what comes next, as `Stream.send_audio`. A live source never waits, others while the server is behind.

        Raises ConnectionLost if the stream has ended (iterating says why).
        """
        data = audio if isinstance(audio, bytes) else encoded(audio, self._encoding)
        if not data:
            self._outgoing.beat()
        for begin in range(0, len(data), self._piece_bytes):
            await self._await_room()
            self._ring.append(data[begin : begin + self._piece_bytes])
            self._work.set()
        self._work.set()

    async def flush(self, marker: str = "") -> None:
        """Ask for everything sent so far to be decided; a `Flushed` with this id follows."""
        self._outgoing.flush(marker)
        self._work.set()

    async def stop(self) -> None:
        """End the stream: everything is decided, then `Done` follows."""
        self._outgoing.stop()
        self._work.set()
        self._hurry()

    def __aiter__(self) -> AsyncIterator[FromServer]:
        """Yield messages up to `Done`, which is the last. Raises StreamError, Unreachable or ConnectionLost."""
        return aiter(self._news)

    async def run(self, first: Stream, dial_again: Dial) -> None:
        """Keep the stream going over as many connections as it takes, the `first` of which is open."""
        try:
            failure = await self._converse(first, first.ready)
            while failure is not None:
                failure = await self._return(failure, dial_again)
        except (ConnectionLost, Unreachable, StreamError) as error:
            await self._news.end(error)
        finally:
            self._over = True
            self._room.set()

    async def _return(self, failure: Exception, dial_again: Dial) -> Exception | None:
        """Connect again, however often it takes, and go on until that connection ends too; return how, if it failed."""
        async with self._way_back.taken(failure):
            self._hurry()
            while True:
                if isinstance(failure, StreamError) and failure.code == "resume_unknown":
                    self._begin_anew()
                else:
                    await self._way_back.wait()
                try:
                    async with dial_again(self._request()) as stream:
                        self._way_back.arrive()
                        return await self._converse(stream, stream.ready)
                except (ConnectionLost, Unreachable, StreamError) as error:
                    self._way_back.fail(error)
                    failure = error

    def _hurry(self) -> None:
        """Wait for a server no longer than it is worth, if it is only about the last words of a live source."""
        if self._live and self._outgoing.stopping:
            self._way_back.hurry()

    def _request(self) -> messages.Start:
        """Return the `start` that asks for the session to go on."""
        ready, begun = self.ready, self._receipts.begun
        if isinstance(ready.resume_token, msgspec.UnsetType) or isinstance(ready.epoch, msgspec.UnsetType):
            return self._start
        known = self._receipts.have, self._receipts.covered - begun, self._ring.start_after(self._on_the_way) - begun
        resume = messages.Resume(ready.session, ready.resume_token, ready.epoch, *known)
        return msgspec.structs.replace(self._start, resume=resume)

    def _begin_anew(self) -> None:
        """Let another session take up what is in the ring; say what is not."""
        final = self._receipts.close_utterance()
        if final is not None:
            self._news.add([final])
        covered, kept = self._receipts.covered, self._ring.start_after(self._on_the_way)
        if kept > covered:
            self._news.add([self._receipts.lost(covered, kept, "lost while the connection was down")])
        begun = max(covered, kept)
        self._ring.let_go(begun)
        self._receipts.begin_anew(begun)
        self.ready = msgspec.structs.replace(self.ready, resume_token=msgspec.UNSET)

    async def _converse(self, stream: Stream, ready: messages.Ready) -> Exception | None:
        """Send and take over one connection until it ends; return how it failed, or None after `done`."""
        self.ready = ready
        begun = self._receipts.begun
        resume_from = 0 if isinstance(ready.resume_from, msgspec.UnsetType) else ready.resume_from
        self._way_back.resumable = not isinstance(ready.resume_token, msgspec.UnsetType)
        self._outgoing.begin_anew(begun + resume_from)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(stream))
            taking = tasks.create_task(self._take_all(stream))
            await asyncio.wait((sending, taking), return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and sending.done() and not sending.result():
                await asyncio.wait((taking,))  # it hears why
            sending.cancel()
            taking.cancel()
        if taking.cancelled():
            return ConnectionLost("the server is too far behind")
        return taking.result()

    async def _take_all(self, stream: Stream) -> Exception | None:
        try:
            await self._news.hand_on()  # what the end of the connection before kept from it
            async for message in stream:
                if isinstance(message, messages.Done) and not await self._is_last(message, stream):
                    return ConnectionLost("the server is restarting")
                await self._take(message)
        except (ConnectionLost, StreamError) as error:
            return error
        return None

    async def _is_last(self, done: messages.Done, stream: Stream) -> bool:
        """Say whether everything is decided. A server that ends says `done` too, for what it has by then."""
        rate = self._start.sample_rate
        missing = self._ring.end - self._receipts.begun - done.audio * rate
        if self._outgoing.stopping and missing <= ROUNDING_S * rate:
            return True
        return self._outgoing.stopped and await stream.close_code() == Close.NORMAL

    async def _take(self, message: FromServer) -> None:
        match message:
            case messages.Flushed():
                self._news.add(self._outgoing.flushes.answer(message))
            case messages.Done():  # answers that were lost may not come again
                self._news.add([*self._outgoing.flushes.answer_all(), *self._receipts.take(message)])
            case _:
                self._news.add(self._receipts.take(message))
        self._ring.let_go(self._receipts.covered)
        self._work.set()
        self._room.set()
        await self._news.hand_on()

    async def _send(self, stream: Stream) -> bool:
        """Send what is to be sent; return False when the connection ends, True if audio has left the ring unsent."""
        with suppress(ConnectionLost):
            while not self._outgoing.has_overrun:
                self._work.clear()
                limit = self._receipts.covered + self._in_flight if self._way_back.resumable else None
                piece = self._outgoing.take(limit)
                if piece is None:
                    await self._work.wait()
                else:
                    self._room.set()
                    await self._send_piece(stream, piece)
            return True
        return False

    async def _send_piece(self, stream: Stream, piece: Piece) -> None:
        match piece:
            case messages.Flush(marker):
                await stream.flush(marker)
            case messages.Stop():
                await stream.stop()
            case bytes() as audio:
                await stream.send_audio(audio)
                if not self._way_back.resumable:
                    self._ring.let_go(self._outgoing.next)

    async def _await_room(self) -> None:
        """Let a source that can wait do so. Raises ConnectionLost if there is nothing to wait for any more."""
        while not self._over and not self._live and not self._outgoing.has_room:
            self._room.clear()
            await self._room.wait()
        if self._over:
            raise ConnectionLost("the stream has ended")
