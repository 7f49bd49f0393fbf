"""Tensors of a checkpoint on their way into the network: read, named as ours, checked, cast, assigned.

Layouts other than ours are renamed here and nowhere else. Nothing is copied that need not be: safetensors are mapped
into memory, the network is built without storage, and a tensor is cast only if its type differs.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from model.config import ModelError, WhisperConfig
from model.whisper import WhisperForConditionalGeneration, sinusoids

EMBEDDING = "model.decoder.embed_tokens.weight"
HEAD = "proj_out.weight"
"""Some files hold the tied head under its own name."""
ENCODER_POSITIONS = "model.encoder.embed_positions.weight"

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


def read_folder(folder: Path) -> dict[str, Tensor]:
    """Read a folder's weights under the names they have there: one or many safetensors, or else pickled ones.

    Raises ModelError if there are none, a part is missing or broken, or unpickling would run code.
    """
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        single, index = folder / f"{stem}.{suffix}", folder / f"{stem}.{suffix}.index.json"
        if single.is_file():
            return _read_file(single)
        if index.is_file():
            tensors: dict[str, Tensor] = {}
            for name in _shards(index):
                tensors |= _read_file(folder / name)
            return tensors
    raise ModelError(f"{folder} holds no weights: model.safetensors or model.safetensors.index.json is needed")


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


def _read_file(path: Path) -> dict[str, Tensor]:
    """Map one file of weights into memory."""
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"cannot read {path}: {error}") from error
    return read_pickle(path)


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


def build(
    config: WhisperConfig, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
) -> WhisperForConditionalGeneration:
    """Build the network around the tensors, cast to `dtype` on `device`, ready to infer.

    Raises ModelError for a tensor that is missing, unknown or of the wrong shape, by name.
    """
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    tensors = _settle(tensors, config)
    expected = model.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"weights: {_some(missing)} missing")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise ModelError(f"weights: {_some(unknown)} not part of a Whisper of this configuration")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise ModelError(f"weights: {name} must be a floating-point tensor, got {getattr(tensor, 'dtype', tensor)}")
        if tensor.shape != expected[name].shape:
            wanted, got = tuple(expected[name].shape), tuple(tensor.shape)
            raise ModelError(f"weights: {name} must have shape {wanted} by config.json, got {got}")
    model.load_state_dict({name: x.to(device=device, dtype=dtype) for name, x in tensors.items()}, assign=True)
    return model.requires_grad_(requires_grad=False).eval()


def _settle(tensors: Mapping[str, Tensor], config: WhisperConfig) -> dict[str, Tensor]:
    """Give every tensor its one name: with `model.` before it, the head as the embedding it is tied to."""
    named = {name if name == HEAD or name.startswith("model.") else f"model.{name}": x for name, x in tensors.items()}
    head = named.pop(HEAD, None)
    if head is not None and not torch.equal(named.setdefault(EMBEDDING, head), head):
        raise ModelError(f"weights: {HEAD} must equal {EMBEDDING}; an untied head is not supported")
    # Fixed by their formula; some files save the space.
    if ENCODER_POSITIONS not in named:
        named[ENCODER_POSITIONS] = sinusoids(config.max_source_positions, config.d_model)
    return named


def _some(names: list[str]) -> str:
    """Name the first few, and say how many more there are."""
    listed = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{listed}{more} {'is' if len(names) == 1 else 'are'}"
