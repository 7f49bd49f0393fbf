"""The files of weights of a checkpoint, and the names that other layouts have for ours.

Layouts other than ours are renamed here and nowhere else.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.errors import ModelError
from model.files.stored import StoredTensor, as_stored, read_safetensors

FILES = (("model", "safetensors"), ("pytorch_model", "bin"))
"""Stems and suffixes of files of weights, best first."""

_OPENAI_NAMES = (
    (r"\.blocks\.", ".layers."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.attn\.", ".self_attn."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.query\.", ".q_proj."),
    (r"\.key\.", ".k_proj."),
    (r"\.value\.", ".v_proj."),
    (r"_attn\.out\.", "_attn.out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"^encoder\.ln_post\.", "encoder.layer_norm."),
    (r"^decoder\.ln\.", "decoder.layer_norm."),
    (r"\.positional_embedding$", ".embed_positions.weight"),
    (r"\.token_embedding\.", ".embed_tokens."),
)


def read_folder(folder: Path, *, safe: bool | None = None) -> dict[str, StoredTensor]:
    """List a folder's weights under the names they have there: one or many safetensors, or else pickled ones.

    safe: only safetensors if true, only pickled ones if false.
    Raises ModelError if there are none, a part is missing or broken, or unpickling would run code.
    """
    wanted = [(stem, suffix) for stem, suffix in FILES if safe is None or safe == (suffix == "safetensors")]
    for stem, suffix in wanted:
        single, index = folder / f"{stem}.{suffix}", folder / f"{stem}.{suffix}.index.json"
        if single.is_file():
            return _read_file(single)
        if index.is_file():
            tensors: dict[str, StoredTensor] = {}
            for name in _shards(index):
                tensors |= _read_file(folder / name)
            return tensors
    files = " or ".join(f"{stem}.{suffix}" for stem, suffix in wanted)
    raise ModelError(f"{folder} holds no weights: {files}, or the same in parts with its .index.json, is needed")


def _shards(index: Path) -> list[str]:
    """List the files an index names. Raises ModelError if it is unreadable or names files elsewhere."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except OSError as error:
        raise ModelError(f"cannot read {index}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} is not an index of weights: {error}") from error
    for name in names:
        if Path(name).name != name:
            raise ModelError(f"{index} must name files beside it, got {name!r}")
        if not (index.parent / name).is_file():
            raise ModelError(f"{index} names {name}, which is missing")
    return names


def _read_file(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of one file of weights."""
    return read_safetensors(path) if path.suffix == ".safetensors" else as_stored(read_pickle(path))


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a file of torch.save, allowing tensors and plain values only. Raises ModelError for any other."""
    try:
        # Only the zip format can be mapped.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than tensors, and reading it could run code; convert it to safetensors"
        ) from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} must hold a dictionary, got {type(loaded).__name__}")
    return loaded


def from_openai(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of an openai file our names."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = name
        for pattern, replacement in _OPENAI_NAMES:
            ours = re.sub(pattern, replacement, ours)
        renamed[ours] = tensor
    return renamed
