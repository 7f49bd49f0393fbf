"""What a session held is given back when it ends, however it ends: not when Python looks for cycles, minutes later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamer.core.commands import Configure
from streamer.core.session import Session
from streamer.core.stretch import SMALLEST_STORAGE
from tests.streamer.harness import converse, running, s16, sentence, until

AUDIO = s16(sentence(*range(1, 9)))
NAN = np.full(800, np.nan, "<f4").tobytes()


@pytest.mark.parametrize(
    "script",
    [
        [{"type": "start"}, AUDIO, {"type": "stop"}],
        [{"type": "start", "resumable": True}, AUDIO, {"type": "stop"}],
        [{"type": "start", "sample_rate": 48_000, "channels": 2}, AUDIO, {"type": "stop"}],
        [{"type": "start", "encoding": "pcm_f32le"}, np.zeros(40_000, "<f4").tobytes(), NAN],
        [{"type": "start"}, AUDIO, {"type": "nonsense"}],
    ],
    ids=["stop", "stop, resumable", "stop, resampled", "bad samples", "bad message"],
)
async def test_a_session_that_has_ended_keeps_no_audio(monkeypatch: pytest.MonkeyPatch, script: list[Any]) -> None:
    made: list[Session] = []
    async with running() as server:
        make = server.switchboard.open_session

        def remembered(stream: str, configure: Configure) -> Session:
            session = make(stream, configure)
            made.append(session)
            return session

        monkeypatch.setattr(server.switchboard, "open_session", remembered)
        await converse(server, script)
        await until(lambda: server.admission.count == 0)
    assert made[0].received
    assert len(made[0]._intake.window) == 0
    assert made[0]._intake.window.capacity <= SMALLEST_STORAGE
