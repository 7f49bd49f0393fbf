"""Preparing a network that is loaded for recognition: int8 weights on a CPU, fused projections.

Theory of operation. `prepare` walks over the layers once, and each linear layer is quantised and its float weight
released before the next is looked at, so that what a network takes at most is its weights once and one layer more.
Quantised are the linear layers of encoder and decoder, the keys and values of the audio among them, the encoder's
second convolution, and, by `model.layers.head.VocabularyHead`, the product with the vocabulary; the token embedding
stays as it is, to be looked up. What is left (layer norms, positions, biases, the first convolution, which hears the
log-mel itself) is a thousandth of the work and kept in float32. On processors that multiply bfloat16 in tiles (AMX) the
encoder's attention is computed in that type: its rounding is smaller than that of the numbers it is given.

`torch.ao.quantization` does the like with one scale for all rows; it is deprecated, and what one stream said would
change another's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from model.device import Precision
from model.layers.attention import WhisperAttention
from model.layers.decoder_layer import WhisperDecoderLayer
from model.layers.encoder import WhisperEncoderLayer
from model.layers.fusion import fuse
from model.layers.head import VocabularyHead
from model.layers.int8 import Int8Linear
from model.layers.stem import Int8Convolution
from model.whisper import WhisperForConditionalGeneration

WORTH_IT = 4_000_000
"""Parameters of encoder and decoder layers from which int8 is faster than float32; see docs/decisions.md."""


def prepare(
    network: WhisperForConditionalGeneration, precision: Precision, alignment_heads: Sequence[tuple[int, int]] = ()
) -> None:
    """Make a network ready to recognise, in place: afterwards it can neither be trained nor saved.

    precision: what it is to compute in; its weights have that type already, and any floating type for int8;
    alignment_heads: (layer, head) pairs whose cross-attention will be wanted.
    """
    network.requires_grad_(requires_grad=False)
    encoder, decoder = network.model.encoder, network.model.decoder
    int8 = precision is Precision.INT8
    narrow = torch.bfloat16 if int8 and has_tiles() else None
    if int8:
        encoder.conv2 = Int8Convolution(encoder.conv2)  # type: ignore[assignment]  # stands for it
    for layer in cast("list[WhisperEncoderLayer]", list(encoder.layers)):
        _prepare_attention(layer.self_attn, int8=int8, steps=False, cross=False)
        layer.self_attn.inference = narrow
        if int8:
            _quantise(layer, ("fc1", "fc2"), steps=False)
    # Where the weights of the attention are wanted, they are computed, not SDPA's own: that is faster in float32.
    weighing = {layer for layer, _ in alignment_heads}
    for index, block in enumerate(cast("list[WhisperDecoderLayer]", list(decoder.layers))):
        _prepare_attention(block.self_attn, int8=int8, steps=True, cross=False)
        _prepare_attention(block.encoder_attn, int8=int8, steps=True, cross=True)
        block.encoder_attn.inference = None if index in weighing else narrow
        if int8:
            _quantise(block, ("fc1", "fc2"), steps=True)
    dtype = precision.dtype or torch.float32
    for parameter in network.parameters():
        # A copy even of the right type: it may be a view of a file, all of which would be kept.
        parameter.data = parameter.detach().to(dtype, copy=int8)
    network.vocabulary = VocabularyHead(network.proj_out.weight.detach(), int8=int8)


def _prepare_attention(attention: WhisperAttention, *, int8: bool, steps: bool, cross: bool) -> None:
    """Fuse what has one input, and quantise; steps: whether single rows will come."""
    fuse(attention, cross=cross)
    if not int8:
        return
    if cross:
        _quantise(attention, ("kv_proj",), steps=False)
        _quantise(attention, ("q_proj", "out_proj"), steps=steps)
    else:
        _quantise(attention, ("qkv_proj", "out_proj"), steps=steps)


def _quantise(module: nn.Module, names: tuple[str, ...], *, steps: bool) -> None:
    """Put int8 layers in the place of linear ones, one by one."""
    for name in names:
        layer = cast("nn.Linear", module.get_submodule(name))
        setattr(module, name, Int8Linear(layer.weight.detach(), layer.bias, steps=steps))


def is_worth_int8(network: WhisperForConditionalGeneration) -> bool:
    """Return whether a network is large enough for int8 to be faster than float32."""
    model = network.model
    layers = (model.encoder.layers, model.decoder.layers)
    return sum(p.numel() for part in layers for p in part.parameters()) >= WORTH_IT


def has_tiles() -> bool:
    """Return whether the processor has tiles of bfloat16 (AMX)."""
    return torch.cpu._is_amx_tile_supported()  # noqa: SLF001  # no public way to ask
