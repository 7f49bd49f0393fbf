"""Weights of a network to safetensors files, one or in parts, as the reference lays them out.

Files are written aside and put in place at the end: the network may be mapped from the very files it replaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def save_weights(tensors: Mapping[str, Tensor], folder: Path, max_shard_size: int | str) -> None:
    """Write tensors, none of which shares memory with another, into a folder.

    max_shard_size: bytes, or a text such as 5GB; what is more goes into parts, and an index says which is where.
    """
    from huggingface_hub import split_torch_state_dict_into_shards  # noqa: PLC0415  # slow to import

    split = split_torch_state_dict_into_shards(
        dict(tensors), filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    written = []
    for name, members in split.filename_to_tensors.items():
        aside = folder / f".{name}.part"
        save_file({member: tensors[member].contiguous() for member in members}, aside, metadata={"format": "pt"})
        written.append((aside, folder / name))
    for aside, final in written:
        aside.replace(final)
    if split.is_sharded:
        count = sum(tensor.numel() for tensor in tensors.values())
        index = {
            "metadata": {"total_parameters": count, **split.metadata},
            "weight_map": split.tensor_to_filename,
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _clear(folder, {*split.filename_to_tensors, *({INDEX} if split.is_sharded else ())})


def _clear(folder: Path, kept: set[str]) -> None:
    """Remove the weights of an earlier save, which a reader could take for these."""
    for path in folder.iterdir():
        if path.name not in kept and re.fullmatch(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?", path.name):
            path.unlink()
