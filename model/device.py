"""Where a network runs and in which type of numbers."""

from __future__ import annotations

import os
from enum import StrEnum

import torch

from model.config import ModelError
from model.layers.int8 import int8_obstacle


class Precision(StrEnum):
    """What the products of a network are computed in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"
    """Linear layers in int8, all else in float32; on a CPU only."""

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of the weights to load; None where they are read as they are stored, to be quantised."""
        return _DTYPES.get(self)


_DTYPES = {
    Precision.FLOAT32: torch.float32,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.FLOAT16: torch.float16,
}


def choose_device(name: str) -> torch.device:
    """Return the device; auto takes a GPU if there is one. Raises ModelError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in {"cpu", "cuda"}:
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices are")
    return device


def set_up(device: torch.device) -> None:
    """Set torch up for recognition on a device; for the whole process.

    cuDNN's attention, which torch prefers on GPUs since compute capability 9, makes a plan for each new shape, tens of
    milliseconds, and keeps it for ever. The shapes of passes with drafts are free: every third batch brings a new one.
    """
    # Numbers near zero, as silence makes them, would be computed many times slower than others.
    torch.set_flush_denormal(True)
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)


def choose_precision(name: str, device: torch.device, *, worth_int8: bool = True) -> Precision:
    """Return what to compute in; auto is float16 on a GPU, on a CPU int8 where that is faster and else float32.

    worth_int8: whether the network is large enough for int8 to be the faster one. Raises ModelError for what the
    device cannot do.
    """
    on_cpu = device.type == "cpu"
    if name == "auto":
        if not on_cpu:
            return Precision.FLOAT16
        return Precision.INT8 if worth_int8 and not int8_obstacle() else Precision.FLOAT32
    if name not in set(Precision):
        raise ModelError(f"precision must be auto, {', '.join(Precision)}, got {name!r}")
    precision = Precision(name)
    if precision is Precision.FLOAT16 and on_cpu:
        raise ModelError("precision float16 needs a GPU; on a CPU it must be auto, float32, int8 or bfloat16")
    if precision is Precision.INT8 and not on_cpu:
        raise ModelError("precision int8 is for a CPU; on a GPU it must be auto, float32, float16 or bfloat16")
    if precision is Precision.INT8 and (obstacle := int8_obstacle()):
        raise ModelError(f"precision int8 cannot be: {obstacle}; it must be auto, float32 or bfloat16")
    return precision


def default_threads(*, alone: bool) -> int:
    """Return how many threads to compute with: all cores that this process may use, less one unless it is `alone`.

    A thread that computes beside a busy event loop on the same core holds up all the others at every barrier.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if alone else max(1, cores - 1)
