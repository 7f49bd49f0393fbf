"""What kind of trouble an error of the recognizer is."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Trouble(Enum):
    """What can be done about it."""

    REQUEST = auto()
    """Nothing: the request is at fault, or the recognizer's code; the process is well."""
    MEMORY = auto()
    """Ask for less at once."""
    DEVICE = auto()
    """Begin anew in another process."""


OUT_OF_MEMORY: Final = (
    "out of memory",  # CUDA's and HIP's allocators, cudaErrorMemoryAllocation
    "not enough memory",  # torch's allocator on a CPU
    "can't allocate memory",
    "could not create a memory object",  # oneDNN
    "_status_alloc_failed",  # cuBLAS, cuDNN
)
BROKEN_DEVICE: Final = (
    "cuda error",
    "hip error",
    "device-side assert",
    "cublas_status_",
    "cudnn_status_",
    "cudnn error",
)
"""After most of these every later call of the process fails too, and no call resets the device."""


def trouble_of(error: BaseException) -> Trouble:
    """Classify by type and message: to import torch for its classes would cost a process that has none seconds."""
    message = str(error).lower()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Trouble.MEMORY
    if not isinstance(error, RuntimeError):
        return Trouble.REQUEST
    if any(sign in message for sign in OUT_OF_MEMORY):
        return Trouble.MEMORY
    if type(error).__name__ == "AcceleratorError" or any(sign in message for sign in BROKEN_DEVICE):
        return Trouble.DEVICE
    return Trouble.REQUEST
