"""From stored tensors to a network: names matched, shapes checked, each tensor brought in once, nothing else allocated.

The network is built without storage; then its parameters become the tensors of the checkpoint, cast only if their type
differs and mapped into memory if it does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from model.config import WhisperConfig
from model.errors import ModelError
from model.files.stored import PickledTensor, StoredTensor
from model.layers.encoder import sinusoids
from model.networks.base import EMBEDDING, HEAD, POSITIONS, NetworkBase

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=NetworkBase)
PARTS = frozenset({"encoder", "decoder", "proj_out", "projector", "classifier", "layer_weights"})
"""What a checkpoint of one of the networks may hold; what of it another network has not is left in the file."""


@dataclass(frozen=True, slots=True)
class LoadingInfo:
    """How the tensors of a checkpoint fitted a network; names as the network, or the file, has them."""

    missing_keys: tuple[str, ...] = ()
    """Started anew, because the checkpoint is of a network without them."""
    unexpected_keys: tuple[str, ...] = ()
    """Left in the file, because this network has no such part."""
    mismatched_keys: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    """Started anew, because the shape (here the file's, then the network's) is another."""


def plain(name: str) -> str:
    """Return a name as a network without head has it, which some files have too."""
    return name.removeprefix("model.")


def build(
    kind: type[Network],
    config: WhisperConfig,
    tensors: Mapping[str, StoredTensor],
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    mismatched: bool = False,
) -> tuple[Network, LoadingInfo]:
    """Build a network around stored tensors, cast to `dtype` on `device`, in evaluation mode.

    dtype: None keeps each tensor's own; mismatched: start anew what has another shape, rather than to refuse it.
    Raises ModelError for a tensor that is missing, unknown or of the wrong shape or type, by name; a head that this
    kind of network adds may be missing.
    """
    with torch.device("meta"):
        network = kind(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    tied = config.tie_word_embeddings and HEAD in shapes
    if tied:
        del shapes[HEAD]
    own = {plain(name): name for name in shapes}
    given, foreign = _matched(tensors, own, config, tied=tied)
    missing = [full for name, full in own.items() if name not in given]
    anew = tuple(name for name in missing if name.startswith(kind.ADDED))
    if lacking := sorted(set(missing) - set(anew)):
        raise ModelError(f"weights: {some(lacking)} missing")
    others = [
        (own[name], tensor.shape, shapes[own[name]])
        for name, tensor in given.items()
        if tensor.shape != shapes[own[name]]
    ]
    if others and not mismatched:
        name, got, wanted = others[0]
        raise ModelError(f"weights: {name} must have shape {wanted} by config.json, got {got}")
    fresh = {*anew, *(name for name, _, _ in others)}
    loaded = {
        own[name]: tensor.load(device, dtype or tensor.dtype)
        for name, tensor in given.items()
        if own[name] not in fresh
    }
    loaded |= {name: torch.empty(shapes[name], device=device, dtype=dtype) for name in fresh}
    network.load_state_dict(loaded, strict=False, assign=True)
    network.tie_weights()
    if fresh:
        network.initialise(fresh)
        logger.warning("weights of %s start at random; train before use", some(sorted(fresh)).rpartition(" ")[0])
    return network.eval(), LoadingInfo(anew, foreign, tuple(others))


def _matched(
    tensors: Mapping[str, StoredTensor], own: Mapping[str, str], config: WhisperConfig, *, tied: bool
) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """Return the tensors by the names of `own`, and what names of parts the network has not are left out."""
    held = {name.partition(".")[0] for name in own} | ({"proj_out"} if tied else set())
    given: dict[str, StoredTensor] = {}
    unknown: list[str] = []
    foreign: list[str] = []
    for name, tensor in tensors.items():
        part = plain(name).partition(".")[0]
        if plain(name) in own or (tied and name == HEAD):
            if not tensor.dtype.is_floating_point:
                raise ModelError(f"weights: {name} must be a floating-point tensor, got {tensor.dtype}")
            given[plain(name)] = tensor
        else:
            (foreign if part in PARTS - held else unknown).append(name)
    if unknown:
        raise ModelError(f"weights: {some(sorted(unknown))} not part of a Whisper of this configuration")
    head = given.pop(HEAD, None) if tied else None
    if head is not None and not _equal(given.setdefault(EMBEDDING, head), head):
        raise ModelError(f"weights: {HEAD} must equal model.{EMBEDDING} unless tie_word_embeddings is false")
    # Fixed by their formula; some files save the space.
    if POSITIONS in own and POSITIONS not in given:
        given[POSITIONS] = PickledTensor(sinusoids(config.max_source_positions, config.d_model))
    return given, tuple(sorted(foreign))


def _equal(one: StoredTensor, other: StoredTensor) -> bool:
    """Compare two tensors of a file."""
    if one is other:
        return True
    cpu = torch.device("cpu")
    first: Tensor = one.load(cpu, one.dtype)
    return torch.equal(first, other.load(cpu, other.dtype))


def some(names: Iterable[str]) -> str:
    """Name the first few, and say how many more there are."""
    names = list(names)
    listed = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{listed}{more} {'is' if len(names) == 1 else 'are'}"
