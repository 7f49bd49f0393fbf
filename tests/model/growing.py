"""Windows that grow, and encoders that hear them in parts."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from model.checkpoint import Checkpoint
from model.decoding.encode import EncodedWindow, WindowEncoder
from model.decoding.reuse import EncoderReuse
from model.types import SAMPLE_RATE, DecodeRequest, Samples
from model.whisper import WhisperModel
from tests.model.small_whisper import noise, small_checkpoint

STEP = SAMPLE_RATE * 2 // 5
"""Samples between two updates, 0.4 s: 20 positions."""
MANY = 1 << 40


@cache
def speech(seed: int = 0) -> Samples:
    return noise(30.0, seed)


def updates(count: int, *, first: int = STEP, step: int = STEP, seed: int = 0, start: int = 0) -> list[DecodeRequest]:
    """The requests of a window that grows."""
    ends = tuple(start + first + step * index for index in range(count))
    return [
        DecodeRequest(f"s{seed}", start, speech(seed)[: end - start], earlier=ends[:index])
        for index, end in enumerate(ends)
    ]


def network(checkpoint: Checkpoint | None = None) -> WhisperModel:
    return (checkpoint or small_checkpoint()).model.model


def reusing(*, dynamic: bool = True, room: int = MANY, checkpoint: Checkpoint | None = None) -> WindowEncoder:
    whole = network(checkpoint)
    made = WindowEncoder(whole.encoder, 80, dynamic=dynamic, reuse_for=whole)
    assert made._reuse is not None
    made._reuse._max_bytes = room
    return made


def size(positions: int) -> int:
    """Bytes of a window: keys and values of two layers of encoder and decoder, and the output, float32."""
    return positions * 32 * 4 * (2 * (2 + 2) + 1)


def plain(*, dynamic: bool = True) -> WindowEncoder:
    return WindowEncoder(network().encoder, 80, dynamic=dynamic)


def one(encoder: WindowEncoder, request: DecodeRequest) -> EncodedWindow:
    (found,) = encoder.encode([request])
    return found._replace(audio=found.audio.clone())


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def differs(a: Tensor, b: Tensor) -> bool:
    return a.shape != b.shape or bool((a - b).abs().max() > 1e-3)


def kept(encoder: WindowEncoder) -> EncoderReuse:
    assert encoder._reuse is not None
    return encoder._reuse
