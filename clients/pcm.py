"""Samples as the bytes that are sent."""

from __future__ import annotations

import numpy as np

from model.types import Samples
from streamer.core.audio import Encoding


def encoded(samples: Samples, encoding: Encoding) -> bytes:
    """Return samples as bytes. Raises ValueError for an encoding that is not PCM."""
    match encoding:
        case Encoding.PCM_S16LE:
            return pcm_s16le(samples)
        case Encoding.PCM_F32LE:
            return samples.astype("<f4").tobytes()
        case _:
            raise ValueError(f"samples can be sent as pcm_s16le or pcm_f32le, not as {encoding}")


def pcm_s16le(samples: Samples) -> bytes:
    """Return samples in [-1, 1] as 16-bit PCM; what was 16-bit PCM before comes back unchanged."""
    data: bytes = np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype("<i2").tobytes()
    return data
