"""How all sessions are brought to an end, also those that do not end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from streamer.connection.admission import CUT_S, Admission
from streamer.connection.connection import Connection
from streamer.metrics import Metrics
from streamer.recognition.load import OPENING_S
from tests.virtual_time import run


class Stuck:
    """A session that ends only when it is dropped."""

    id = "stuck"

    def __init__(self) -> None:
        self.done: list[str] = []
        self._task: asyncio.Task[Any] | None = None

    async def run(self, admission: Admission) -> None:
        self._task = asyncio.current_task()
        with admission.admitted(cast(Connection, self)):
            await asyncio.Event().wait()

    def drain(self) -> None:
        self.done.append("drain")

    def cut(self) -> None:
        self.done.append("cut")

    def drop(self) -> None:
        self.done.append("drop")
        assert self._task is not None
        self._task.cancel()

    @property
    def counts(self) -> bool:
        return True


@pytest.mark.parametrize("asked", ["once", "twice", "twice at once"])
def test_a_session_that_does_not_end_keeps_no_daemon_from_ending(asked: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> tuple[float, list[str], bool]:
        admission, stuck = Admission(10, lambda: True, Metrics()), Stuck()
        loop = asyncio.get_running_loop()
        session = loop.create_task(stuck.run(admission))
        await asyncio.sleep(0)
        if asked == "twice at once":
            admission.cut()
        if asked == "twice":
            loop.call_later(1.0, admission.cut)
        await admission.drain(3600.0 if asked != "once" else 10.0)
        took = loop.time()
        await asyncio.wait([session])
        return took, stuck.done, bool(admission._connections)

    took, done, left = run(scenario())
    assert took == {"once": 10 + CUT_S, "twice": 1 + CUT_S, "twice at once": CUT_S}[asked]
    assert sorted(done) == ["cut", "drain", "drop"]
    assert not left
    assert "stuck are dropped" in caplog.text


def test_whoever_is_let_in_has_cost_what_letting_in_costs_though_nothing_may_come_of_it() -> None:
    metrics = Metrics()
    with Admission(10, lambda: True, metrics).admitted(cast(Connection, Stuck())):
        pass

    assert metrics.taken_in == OPENING_S
