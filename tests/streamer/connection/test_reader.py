"""How long a reader waits for whom, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.config import EndpointConfig, ServerConfig, SessionConfig
from streamer.connection.ending import Ending
from streamer.connection.line import Line
from streamer.connection.reader import Reader
from streamer.connection.seat import Seat
from streamer.connection.wire import Disconnected, Wire
from streamer.core.commands import Claim, ErrorCode, Message
from streamer.core.session import Session
from streamer.metrics import Metrics
from streamer.protocols.native import NativeCodec
from streamer.recognition.pace import Pace
from tests.fakes import LevelVad
from tests.virtual_time import run

CLAIM = Claim("s", "t", "e", 0, 0, 0)
STOP = '{"type": "stop"}'


class TimedWire(Wire):
    """A client that says one thing after some seconds, or is lost by then."""

    def __init__(self, after_s: float, message: Message | None) -> None:
        self.gone = False
        self._after_s, self._message = after_s, message

    async def receive(self) -> Message:
        """Wait for it."""
        await asyncio.sleep(self._after_s)
        if self._message is None:
            raise Disconnected(1006)
        return self._message

    async def send(self, message: Message) -> None:
        """Hear nothing."""

    async def close(self, code: int, reason: str = "") -> None:
        """Hear nothing."""


def ended(first: Wire, later: list[tuple[float, Wire]]) -> tuple[Ending, float, Seat]:
    """Return how the input of a session ends whose clients come at these times, when, and its seat."""

    async def scenario() -> tuple[Ending, float, Seat]:
        clock, over = asyncio.get_running_loop().time, asyncio.Event()
        codec = NativeCodec("m", {"en": "english"})
        [*codec.decode('{"type": "start", "resumable": true}')]
        record: Any = None  # what is told is not looked at here
        line = Line(first, None, 120.0)
        seat = Seat("s", line, record, codec)
        reader = Reader(
            wire=line,
            codec=codec,
            session=Session("s", SessionConfig(), EndpointConfig(), LevelVad()),
            config=ServerConfig(idle_timeout_s=300.0),
            max_backlog=1_000_000,
            metrics=Metrics(),
            pace=Pace(clock),
            wake=lambda: over.set() if reader.ending else None,
            seat=seat,
        )
        for at, wire in later:
            asyncio.get_running_loop().call_later(at, line.attach, wire, CLAIM, ())
        reading = asyncio.get_running_loop().create_task(reader.run())
        await over.wait()
        assert reader.ending is not None
        at = clock()
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return reader.ending, at, seat

    result: tuple[Ending, float, Seat] = run(scenario())
    return result


def test_the_time_a_client_is_away_is_none_in_which_it_says_nothing():
    ending, at, seat = ended(TimedWire(250, None), [(350, TimedWire(290, STOP))])
    assert ending.by_client
    assert at == 640
    assert not seat.closed, "it may be lost again before all is decided"


def test_a_client_that_was_silent_has_all_its_time_to_come_back():
    ending, at, seat = ended(TimedWire(250, None), [])
    assert (ending.error, ending.by_client) == (None, False)
    assert at == 370
    assert seat.closed


def test_a_client_that_came_back_and_says_nothing_is_idle():
    ending, at, seat = ended(TimedWire(250, None), [(350, TimedWire(1000, STOP))])
    assert ending.error is not None
    assert ending.error.code is ErrorCode.IDLE_TIMEOUT
    assert at == 650
    assert seat.closed
