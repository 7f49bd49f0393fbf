"""What a device could do at most: operations and bytes of Whisper, and how fast devices are.

Operations are counted as twice the multiplications; per position of the encoder and layer 24 d² in linear layers and
4 T d in attention, 4 d² for the decoder's keys and values of it. A decoding step reads all weights of the decoder and
its head once, and each row's keys and values. Source: Radford et al. 2022, section 2.2, for the network; NVIDIA's data
sheets of H100 (SXM) and H200 for the devices, less what no program has been seen to reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.gpu_network import Shape

BYTES = 2
"""Of a number, in bfloat16 and float16."""


@dataclass(frozen=True, slots=True)
class Device:
    """What large products and long reads reach."""

    flops: float
    """Operations a second, dense 16-bit."""
    bandwidth: float
    """Bytes a second from its memory."""


DEVICES = {"H200": Device(790e12, 4.3e12), "H100": Device(790e12, 3.0e12)}
"""By a part of the name. 790 of 989 TFLOP/s and nine tenths of the memory's speed."""


def device_of(name: str) -> Device | None:
    """Return what is known of a device, by the name its driver gives it."""
    return next((device for part, device in DEVICES.items() if part in name), None)


def encoder_flops(shape: Shape, positions: int) -> float:
    """Operations of one window, the decoder's keys and values of it included."""
    d, layers = shape.d_model, shape.encoder_layers
    convolutions = 2 * 2 * positions * shape.mels * 3 * d + 2 * positions * 3 * d * d
    linear = 24 * d * d * positions * layers
    attention = 4 * positions * positions * d * layers
    return convolutions + linear + attention + 4 * d * d * positions * shape.decoder_layers


def step_bytes(shape: Shape, rows: int, positions: int, text: int = 60) -> float:
    """Bytes that one token of each row has to read; text: tokens each row holds."""
    d = shape.d_model
    weights = 14 * d * d * shape.decoder_layers + shape.vocabulary * d
    cached = 2 * d * (positions + text) * shape.decoder_layers
    return BYTES * (weights + rows * cached)


def update_seconds(shape: Shape, device: Device, positions: int) -> float:
    """Return the least time of an update: its encoder; what a well-filled batch adds for decoding is a few percent."""
    return encoder_flops(shape, positions) / device.flops
