"""Supervisors with real child processes, whose recognizer has faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from model.types import DecodeRequest, Hypothesis
from streamer.config import ModelConfig
from streamer.recognition.device import DeviceLost
from streamer.worker.backoff import Backoff
from streamer.worker.limits import Limits
from streamer.worker.messages import Start
from streamer.worker.supervisor import Supervisor, supervised
from tests.faulty.child import command
from tests.faulty.spoken import utterances

WINDOWS = 8
PATIENT = Limits(heartbeat_s=30, least_batch_s=30)
"""For a machine that is busy with other things."""


def supervisor(*faults: str, limits: Limits = PATIENT, program: Sequence[str] = (), **options: Any) -> Supervisor:
    """Make one, not running."""
    return Supervisor(
        program or command(faults),
        lambda generation: Start(ModelConfig(), "INFO", generation),
        WINDOWS,
        limits=limits,
        **{"backoff": Backoff(0, 0), **options},
    )


@asynccontextmanager
async def children(*faults: str, **options: Any) -> AsyncIterator[Supervisor]:
    """Run a supervisor whose first child has loaded its model."""
    async with supervised(supervisor(*faults, **options)) as running:
        await running.loaded()
        yield running


def request(key: int = 1, words: int = 5, **options: Any) -> DecodeRequest:
    """Ask about a stream named after its speaker."""
    audio = np.concatenate([samples for _, samples in utterances(key, [words])])
    return DecodeRequest(str(key), 0, audio, **{"final": True, **options})


async def ask(running: Supervisor, *requests: DecodeRequest) -> list[Hypothesis]:
    """Ask as the engine does, and again after each loss."""
    while True:
        await running.available()
        try:
            return await running.transcribe(requests)
        except DeviceLost:
            continue


def text(hypothesis: Hypothesis) -> str:
    """Return what was heard."""
    return "".join(word.text for word in hypothesis.words)
