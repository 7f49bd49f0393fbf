"""Where a network runs and in which type of numbers."""

from __future__ import annotations

import torch

from model.config import ModelError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of weights; auto is float32 on a CPU and float16 on a GPU. Raises ModelError."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in PRECISIONS:
        raise ModelError(f"precision must be auto, {', '.join(PRECISIONS)}, got {name!r}")
    if name == "float16" and device.type == "cpu":
        raise ModelError("precision float16 needs a GPU; on a CPU it must be auto, float32 or bfloat16")
    return PRECISIONS[name]
