"""Linear layers of the same input made one: queries, keys and values; keys and values of the audio.

One product of three times the width is faster than three, above all for the single row of a decoding step, where a
layer's cost is mostly that of being called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from model.layers.attention import WhisperAttention

SELF = ("q_proj", "k_proj", "v_proj")
CROSS = ("k_proj", "v_proj")


def joined(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias that give the outputs of all layers one after the other; no bias counts as zeros."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    if all(layer.bias is None for layer in layers):
        return weight, None
    biases = [
        layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach() for layer in layers
    ]
    return weight, torch.cat(biases)


def fuse(attention: WhisperAttention, *, cross: bool) -> None:
    """Make one linear layer of an attention's projections of the same input, in place, for inference.

    cross: the attention has its keys and values from elsewhere than its queries. The layers' weights become parts of
    the fused one's, so nothing takes memory twice; `attention.project` and `keys_values` use the fused one.
    """
    name, parts = ("kv_proj", CROSS) if cross else ("qkv_proj", SELF)
    if name in attention._modules:  # noqa: SLF001  # get_submodule would raise for the usual case
        return
    layers = [cast("nn.Linear", attention.get_submodule(part)) for part in parts]
    weight, bias = joined(layers)
    fused = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    fused.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        fused.bias = nn.Parameter(bias, requires_grad=False)
    for part in parts:
        delattr(attention, part)
    attention.add_module(name, fused)
