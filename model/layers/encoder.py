"""The audio encoder of Whisper: a convolution stem, fixed positions, pre-norm transformer layers.

Source: Radford et al. 2022, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.config import WhisperConfig
from model.layers.activations import ACTIVATIONS
from model.layers.attention import WhisperAttention
from model.layers.dropout import dropout
from model.layers.feed_forward import FeedForward
from model.layers.int8 import Int8Linear
from model.layers.outputs import BaseModelOutput
from model.layers.traces import Traces
from model.layers.window_memory import Span, lengths


def sinusoids(length: int, channels: int, max_timescale: float = 10000.0) -> Tensor:
    """Return the encoder's fixed positions, (length, channels): sines, then cosines (openai/whisper model.py)."""
    if channels % 2:
        raise ValueError(f"sinusoids need an even number of channels, got {channels}")
    step = math.log(max_timescale) / (channels // 2 - 1)
    inverse = torch.exp(-step * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * inverse[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class WhisperEncoderLayer(FeedForward):
    """Self-attention and feed-forward, each behind a layer norm and a residual."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout
        self.activation = ACTIVATIONS[config.activation_function]
        self.self_attn = WhisperAttention(config.d_model, config.encoder_attention_heads, config.attention_dropout)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, *, weigh: bool = False) -> tuple[Tensor, Tensor | None]:
        """(batch, n, d_model) -> the same shape, and the weights of the attention (batch, heads, n, n) if wanted."""
        own, normed = self.self_attn, self.self_attn_layer_norm(x)
        q, k, v = own.project(normed)
        mixed, weights = own.weigh(q, k, v) if weigh else (own.attend(q, k, v), None)
        return self._go_on(x, mixed), weights

    def renew(self, x: Tensor, layer: int, spans: Sequence[Span]) -> Tensor:
        """Compute some positions of several windows, for inference: (1, n, d_model) -> the same shape.

        x: the positions of all spans, one after the other; layer: which one this is, for the spans' memories.
        """
        own = self.self_attn
        q, k, v = own.project(self.self_attn_layer_norm(x))
        mixed, at = torch.empty_like(q), 0
        for span in spans:
            rows = slice(at, at + span.length)
            keys, values = span.memory.own.write(layer, span.first, k[0, :, rows], v[0, :, rows])
            mixed[:, :, rows] = F.scaled_dot_product_attention(q[:, :, rows], keys, values)
            at += span.length
        return self._go_on(x, own.leave(mixed))

    def _go_on(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Do what comes after the attention."""
        x = x + dropout(mixed, self.dropout, training=self.training)
        x = self.feed_forward(x)
        if x.dtype == torch.float16:
            limit = torch.finfo(torch.float16).max - 1000
            x = x.clamp(min=-limit, max=limit)
        return x

    def feed_forward(self, x: Tensor) -> Tensor:
        """Apply the position-wise network, where that is faster to some positions at a time."""
        feed = super().feed_forward
        if not isinstance(self.fc1, Int8Linear):
            return feed(x)
        return torch.cat([feed(part) for part in torch.split(x, self.fc1.share(x.shape[1]), dim=1)], dim=1)


class WhisperEncoder(nn.Module):
    """Log-mel frames to audio features, 20 ms a position."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build the convolution stem, the fixed positions and the layers."""
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, kernel_size=3, stride=2, padding=1)
        shape = (config.max_source_positions, config.d_model)
        # Filled by NetworkBase.initialise.
        self.embed_positions = nn.Embedding(*shape, _weight=torch.empty(shape), _freeze=True)
        self.layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,  # noqa: ARG002  # the reference takes it and does not use it
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Encode windows of full length, as the reference does.

        input_features: (batch, n_mels, 2 * max_source_positions). What is wanted and not said is by the configuration.
        Raises ValueError for another number of frames; `encode` takes fewer.
        """
        frames = 2 * self.embed_positions.num_embeddings
        if input_features.shape[-1] != frames:
            raise ValueError(f"the encoder takes {frames} log-mel frames, got {input_features.shape[-1]}: pad to that")
        wants_weights = self.config.output_attentions if output_attentions is None else output_attentions
        wants_hidden = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        traces = Traces.wanted(hidden_states=wants_hidden, attentions=wants_weights)
        x = self._read(input_features, traces)
        output = BaseModelOutput(x, traces.hidden_states(x), traces.attentions())
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()

    def encode(self, features: Tensor) -> Tensor:
        """Encode windows of full length or shorter.

        features: (batch, n_mels, n_frames), n_frames even and at most 2 * max_source_positions. Fewer frames than the
        full 30 s are a shorter context: the first n_frames / 2 positions are used.
        Returns (batch, n_frames / 2, d_model). Raises ValueError for more frames than there are positions.
        """
        limit = 2 * self.embed_positions.num_embeddings
        if features.shape[-1] > limit:
            raise ValueError(f"at most {limit} log-mel frames fit the encoder, got {features.shape[-1]}")
        return self._read(features, Traces())

    def attentions(self) -> list[WhisperAttention]:
        """Return the attention of each layer."""
        return [layer.self_attn for layer in self._blocks()]

    def renew(self, spans: Sequence[Span]) -> None:
        """Compute the positions of some spans, for inference, and put what is found into their memories.

        They hear all positions of their own window: those of the span as they are now, the others as the memory has
        them. A span of all positions is what `encode` does.
        """
        x = torch.cat([self._stem(span.features[None], span.first, span.end) for span in spans], dim=1)
        for index, layer in enumerate(self._blocks()):
            x = layer.renew(x, index, spans)
        found = self.layer_norm(x)[0].split(lengths(spans))
        for span, rows in zip(spans, found, strict=True):
            span.memory.output[span.first : span.end] = rows

    def _blocks(self) -> list[WhisperEncoderLayer]:
        return cast("list[WhisperEncoderLayer]", list(self.layers))

    def _stem(self, features: Tensor, first: int, end: int) -> Tensor:
        """Convolve frames, (batch, n_mels, n_frames), to positions `first` to `end`, (batch, n, d_model)."""
        # A position hears two frames to either side of its own; one position more at a cut has them all.
        before = min(first, 1)
        x = features[..., 2 * (first - before) : 2 * (end + 1)]
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2)
        return x[:, before : before + end - first] + self.embed_positions.weight[first:end]

    def freeze(self) -> None:
        """Let training change none of its weights."""
        self.requires_grad_(requires_grad=False)

    def _read(self, features: Tensor, traces: Traces) -> Tensor:
        """Run stem and layers. Raises ValueError for features that are not this network's."""
        weight = self.conv1.weight
        cast = torch.is_autocast_enabled(features.device.type)
        fits = features.dtype is weight.dtype or cast
        if features.ndim != 3 or features.shape[1] != weight.shape[1] or not fits:
            raise ValueError(
                f"input_features must be (batch, {weight.shape[1]}, frames) {weight.dtype}, got "
                f"{tuple(features.shape)} {features.dtype}"
            )
        x = self._stem(features, 0, features.shape[-1] // 2)
        x = dropout(x, self.config.dropout, training=self.training)
        weigh = traces.attention is not None or self.config.attn_implementation == "eager"
        for index, layer in enumerate(self.layers):
            # Drawn in the reference's order, so that a seed drops the same layers.
            if self.training and torch.rand([]) < self.config.encoder_layerdrop:
                continue
            before = x
            x, weights = layer(x, weigh=weigh)
            traces.keep(index, before, x, weights)
        out: Tensor = self.layer_norm(x)
        return out
