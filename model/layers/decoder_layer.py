"""One layer of the text decoder, and what the queries of a pass see.

Source: Radford et al. 2022, section 2.2: a pre-norm transformer layer with cross-attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from model.config import WhisperConfig
from model.layers.activations import ACTIVATIONS
from model.layers.attention import WhisperAttention
from model.layers.cache import LayerCache
from model.layers.dropout import dropout
from model.layers.feed_forward import FeedForward

Store: TypeAlias = Callable[[LayerCache, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Puts new keys and values where they belong and returns what the queries are to see."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the queries of one pass see, and how."""

    store: Store
    text: Tensor | None
    """Mask of the cells, as `WhisperAttention.attend` takes it."""
    causal: bool = False
    audio: Tensor | None = None
    """Mask of the encoder's positions."""
    weigh: bool = False
    """Whether the weights of all heads are wanted."""


class WhisperDecoderLayer(FeedForward):
    """Self-attention, cross-attention and feed-forward, each behind a layer norm and a residual."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout
        self.activation = ACTIVATIONS[config.activation_function]
        self.self_attn = WhisperAttention(config.d_model, config.decoder_attention_heads, config.attention_dropout)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.encoder_attn = WhisperAttention(config.d_model, config.decoder_attention_heads, config.attention_dropout)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.decoder_ffn_dim)
        self.fc2 = nn.Linear(config.decoder_ffn_dim, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def cells(self, audio: Tensor, capacity: int, heard: tuple[Tensor, Tensor]) -> LayerCache:
        """Return room for so many tokens, beside `heard`, the keys and values of the audio, (batch, n, d_model)."""
        shape = (len(audio), self.self_attn.n_heads, capacity, self.self_attn.head_dim)
        # Zeros, not empty: a masked cell still takes part in 0 * value, and 0 * NaN is NaN.
        return LayerCache(audio.new_zeros(shape), audio.new_zeros(shape), *heard)

    def forward(
        self, x: Tensor, cells: LayerCache, sight: Sight, heads: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(batch, n, d_model) -> the same shape, weights of the self-attention, and of the cross-attention.

        heads: those whose cross-attention is wanted, where not all are.
        """
        x, text = self.attend_text(x, cells, sight)
        x, audio = self.attend_audio(x, cells, sight, heads)
        return self.feed_forward(x), text, audio

    def attend_text(self, x: Tensor, cells: LayerCache, sight: Sight) -> tuple[Tensor, Tensor | None]:
        """Add what earlier tokens say; new keys and values go into the cells."""
        own, normed = self.self_attn, self.self_attn_layer_norm(x)
        q, k, v = own.project(normed)
        k, v = sight.store(cells, k, v)
        if sight.weigh:
            mixed, weights = own.weigh(q, k, v, sight.text, causal=sight.causal)
        else:
            mixed, weights = own.attend(q, k, v, sight.text, causal=sight.causal), None
        return x + dropout(mixed, self.dropout, training=self.training), weights

    def attend_audio(
        self, x: Tensor, cells: LayerCache, sight: Sight, heads: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Add what the audio says; weights are (batch, heads, n, n_audio_ctx). A decoder without audio adds nothing."""
        cross, keys, values = self.encoder_attn, cells.cross_keys, cells.cross_values
        if not keys.shape[2]:
            return x, None
        q = cross.queries(self.encoder_attn_layer_norm(x))
        weights: Tensor | None = None
        if sight.weigh:
            mixed, weights = cross.weigh(q, keys, values, sight.audio)
        elif heads and keys.dtype == torch.float32 and not q.is_cuda:
            # As fast as SDPA for a few queries, and the weights come with it.
            mixed, every = cross.weigh(q, keys, values, sight.audio)
            weights = every[:, list(heads)]
        else:
            mixed = cross.attend(q, keys, values, sight.audio)
            if heads:
                weights = _seen(q, keys, sight.audio, heads)
        return x + dropout(mixed, self.dropout, training=self.training), weights


def _seen(q: Tensor, keys: Tensor, mask: Tensor | None, heads: Sequence[int]) -> Tensor:
    """Return the cross-attention of some heads, (batch, len(heads), n, n_audio_ctx) float32.

    SDPA does not return weights; only the few alignment heads pay for theirs. Views, head by head: an index would copy
    the keys of the whole window at every step.
    """
    if keys.device.type == "cpu":
        products = [(q[:, head].to(keys.dtype) @ keys[:, head].transpose(-1, -2)).float() for head in heads]
    else:
        products = [q[:, head].float() @ keys[:, head].float().transpose(-1, -2) for head in heads]
    scores = torch.stack(products, dim=1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1)
