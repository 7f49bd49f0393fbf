"""Tensors in files: described first, brought into memory one by one, each byte read at most once.

Source: the safetensors format, https://github.com/huggingface/safetensors: eight bytes that say how long the header
is, a JSON header that says of each tensor its type, shape and place, then the tensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from model.errors import ModelError

DTYPES = MappingProxyType(
    {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }
)  # fmt: skip
PIECE = 1 << 19
"""Elements cast at a time: what is read of a file to be cast takes no more memory than this."""
LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


class StoredTensor(Protocol):
    """A tensor that is not in memory yet."""

    @property
    def dtype(self) -> torch.dtype:
        """Type it has in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""

    def load(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Bring it into memory; on a CPU and of the file's type it is mapped, not copied."""


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """One that torch.load has read or mapped."""

    tensor: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Type it has in the file."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return tuple(self.tensor.shape)

    def load(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return it where and as it is wanted."""
        return self.tensor.to(device=device, dtype=dtype)


@dataclass(frozen=True, slots=True)
class SafeTensor:
    """One of a safetensors file."""

    path: Path
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    """Byte of the file it begins at."""
    mapped: torch.UntypedStorage
    """The whole file; only the pages that are looked at take memory."""

    def load(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Map it, or read it piece by piece into the type that is wanted."""
        if device.type == "cpu" and dtype != self.dtype:
            return self._cast(dtype)
        return self._map().to(device=device).to(dtype=dtype)

    def _map(self) -> Tensor:
        """Return a view of the file; a private one, so that training does not write to it."""
        if self.start % self.dtype.itemsize:
            return self._cast(self.dtype)
        stride = [math.prod(self.shape[i + 1 :]) for i in range(len(self.shape))]
        # A storage of its own: what saves or copies one tensor takes all of its storage.
        part = self.mapped[self.start : self.start + math.prod(self.shape) * self.dtype.itemsize]
        return torch.empty(0, dtype=self.dtype).set_(part, 0, self.shape, stride)

    def _cast(self, dtype: torch.dtype) -> Tensor:
        """Read and cast. Mapped pages would count as memory until the system needs it for something else."""
        count = math.prod(self.shape)
        out = torch.empty(count, dtype=dtype)
        with self.path.open("rb") as file:
            file.seek(self.start)
            for at in range(0, count, PIECE):
                size = min(PIECE, count - at)
                piece = bytearray(size * self.dtype.itemsize)
                if file.readinto(piece) != len(piece):
                    raise ModelError(f"cannot read {self.path}: it ends within {self.name}")
                out[at : at + size] = torch.frombuffer(piece, dtype=self.dtype)
        return out.view(self.shape)


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of a file. Raises ModelError, with the tensor's name where one is wrong or cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, LONGEST_HEADER))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if size < 8 or len(text) < length:
        raise ModelError(f"cannot read {path}: it is no safetensors file, or ends within its header")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ModelError(f"cannot read {path}: it is no safetensors file, its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise ModelError(f"cannot read {path}: it is no safetensors file, its header is no JSON object")
    mapped = cast("torch.UntypedStorage", torch.UntypedStorage.from_file(str(path), shared=False, nbytes=size))
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    return {name: _entry(path, name, entry, 8 + length, mapped) for name, entry in entries.items()}


def _entry(path: Path, name: str, entry: Any, origin: int, mapped: torch.UntypedStorage) -> SafeTensor:
    """Check what the header says of one tensor."""
    try:
        kind, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
        start, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"cannot read {path}: its header does not say where {name} is") from error
    if kind not in DTYPES:
        raise ModelError(f"cannot read {path}: {name} has type {kind}, which must be one of {', '.join(DTYPES)}")
    dtype = DTYPES[kind]
    wanted = math.prod(shape) * dtype.itemsize
    if min(start, *shape, 0) < 0 or end - start != wanted:
        raise ModelError(f"cannot read {path}: {name} of shape {shape} must have {wanted} bytes, got {end - start}")
    if origin + end > mapped.nbytes():
        raise ModelError(f"cannot read {path}: the file ends at byte {mapped.nbytes()}, before the end of {name}")
    return SafeTensor(path, name, dtype, shape, origin + start, mapped)


def as_stored(tensors: Mapping[str, Tensor]) -> dict[str, StoredTensor]:
    """Describe tensors of a pickled file. Raises ModelError for what is no tensor, by name."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ModelError(f"weights: {name} must be a tensor, got {type(tensor).__name__}")
    return {name: PickledTensor(tensor) for name, tensor in tensors.items()}
