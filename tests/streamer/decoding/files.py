"""Files to decode, and decoders for them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
import psutil
import soundfile
from prometheus_client import CollectorRegistry

from model.types import Samples
from streamer.decoding.decoder import DECODER, Decoder, Limits
from streamer.decoding.decoders import Decoders
from streamer.decoding.losses import Cause

PATIENT = Limits(60.0, 60.0)
"""For a machine that is busy with other things."""


def noise(rate: int, channels: int = 1, seconds: float = 3.3, form: str = "WAV", subtype: str | None = None) -> bytes:
    """Return a file in which no sample is like another."""
    audio = np.random.default_rng(rate + channels).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    data = io.BytesIO()
    soundfile.write(data, audio, rate, format=form, subtype=subtype)
    return data.getvalue()


def stored(data: bytes) -> BinaryIO:
    """Return a file that has a descriptor."""
    file = TemporaryFile()  # noqa: SIM115  # the collector closes it
    file.write(data)
    file.flush()
    return file


class Kept(Decoders):
    """Decoders whose registry can be read."""

    def __init__(self, command: Sequence[str] = DECODER) -> None:
        self.registry = CollectorRegistry()
        super().__init__(self.registry, command)

    def lost(self, cause: Cause) -> float:
        """Return how many were lost so."""
        return self.registry.get_sample_value("streamer_decoders_lost_total", {"cause": str(cause)}) or 0.0


@asynccontextmanager
async def decoding(data: bytes, decoders: Decoders | None = None, limits: Limits = PATIENT) -> AsyncIterator[Decoder]:
    """Have bytes decoded while the block lasts."""
    with stored(data) as file:
        async with (decoders or Kept()).decoding(file, limits) as decoder:
            yield decoder


async def decoded(data: bytes, decoders: Decoders | None = None, limits: Limits = PATIENT) -> Samples:
    """Return all samples of a file, which are as many as was said."""
    async with decoding(data, decoders, limits) as decoder:
        length = await decoder.measure()
        samples = np.concatenate([block async for block in decoder.blocks()])
    assert len(samples) == length
    return samples


def footprint() -> tuple[int, list[int]]:
    """Return how many descriptors this process has, and its children."""
    process = psutil.Process()
    return process.num_fds(), sorted(child.pid for child in process.children())
