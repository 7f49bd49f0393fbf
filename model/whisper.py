"""The Whisper network: audio encoder, text decoder, tied head.

Parameter names are those of Hugging Face checkpoints, so that a state dict loads as it is; other layouts are renamed in
`weights.py` and nowhere else. Source: Radford et al. 2022, section 2.2; pre-norm transformer, GELU, sinusoidal
encoder positions, learned decoder positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.attention import WhisperAttention
from model.cache import DecoderCache, LayerCache
from model.config import WhisperConfig


def sinusoids(length: int, channels: int, max_timescale: float = 10000.0) -> Tensor:
    """Return the encoder's fixed positions, (length, channels): sines, then cosines (openai/whisper model.py)."""
    step = math.log(max_timescale) / (channels // 2 - 1)
    inverse = torch.exp(-step * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * inverse[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class WhisperEncoderLayer(nn.Module):
    """Self-attention and feed-forward, each behind a layer norm and a residual."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.self_attn = WhisperAttention(config.d_model, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n, d_model) -> the same shape."""
        normed = self.self_attn_layer_norm(x)
        keys, values = self.self_attn.keys_values(normed)
        x = x + self.self_attn.attend(self.self_attn.queries(normed), keys, values)
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return out


class WhisperEncoder(nn.Module):
    """Log-mel frames to audio features, 20 ms a position."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build the convolution stem, the fixed positions and the layers."""
        super().__init__()
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, config.d_model)
        self.embed_positions.weight.requires_grad = False
        with torch.no_grad():
            self.embed_positions.weight.copy_(sinusoids(config.max_source_positions, config.d_model))
        self.layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, features: Tensor) -> Tensor:
        """Encode log-mel frames.

        features: (batch, n_mels, n_frames), n_frames even and at most 2 * max_source_positions. Fewer frames than the
        full 30 s are a shorter context: the first n_frames / 2 positions are used.
        Returns (batch, n_frames / 2, d_model). Raises ValueError for more frames than there are positions.
        """
        length = (features.shape[-1] + 1) // 2
        if length > self.embed_positions.num_embeddings:
            limit = 2 * self.embed_positions.num_embeddings
            raise ValueError(f"at most {limit} log-mel frames fit the encoder, got {features.shape[-1]}")
        x = F.gelu(self.conv1(features))
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.embed_positions.weight[:length]
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.layer_norm(x)
        return out


class WhisperDecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each behind a layer norm and a residual."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.self_attn = WhisperAttention(config.d_model, config.decoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.encoder_attn = WhisperAttention(config.d_model, config.decoder_attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.decoder_ffn_dim)
        self.fc2 = nn.Linear(config.decoder_ffn_dim, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def attend_text(self, x: Tensor, cache: DecoderCache, layer: int, positions: Tensor, mask: Tensor) -> Tensor:
        """Add what earlier tokens say; new keys and values go into the cache."""
        normed = self.self_attn_layer_norm(x)
        keys, values = cache.write(layer, *self.self_attn.keys_values(normed), positions)
        return x + self.self_attn.attend(self.self_attn.queries(normed), keys, values, mask)

    def attend_audio(
        self, x: Tensor, cells: LayerCache, mask: Tensor | None, heads: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Add what the audio says; for `heads` also return their attention, (batch, len(heads), n, n_audio_ctx)."""
        q = self.encoder_attn.queries(self.encoder_attn_layer_norm(x))
        x = x + self.encoder_attn.attend(q, cells.cross_keys, cells.cross_values, mask)
        if not heads:
            return x, None
        # SDPA does not return weights; only the few alignment heads pay for theirs.
        # Views, head by head: an index would copy the keys of the whole window at every step.
        scores = torch.stack(
            [q[:, head].float() @ cells.cross_keys[:, head].float().transpose(-1, -2) for head in heads], dim=1
        ) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return x, scores.softmax(dim=-1)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Apply the position-wise network."""
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return out


class WhisperDecoder(nn.Module):
    """Tokens and audio features to hidden states, ragged rows batched."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build embeddings, learned positions and layers."""
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.embed_positions = nn.Embedding(config.max_target_positions, config.d_model)
        self.layers = nn.ModuleList(WhisperDecoderLayer(config) for _ in range(config.decoder_layers))
        self.layer_norm = nn.LayerNorm(config.d_model)
        self.embed_scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0

    def _blocks(self) -> list[WhisperDecoderLayer]:
        return cast("list[WhisperDecoderLayer]", list(self.layers))

    def new_cache(self, audio: Tensor, lengths: Tensor | None = None, capacity: int | None = None) -> DecoderCache:
        """Start decoding a batch.

        audio: encoder output (batch, n_audio_ctx, d_model); lengths: (batch,) valid positions a row, all if None;
        capacity: tokens a row may hold, max_target_positions if None. Raises ValueError beyond that.
        """
        limit = self.embed_positions.num_embeddings
        capacity = limit if capacity is None else capacity
        if not 0 < capacity <= limit:
            raise ValueError(f"capacity must be in 1..{limit} tokens, got {capacity}")
        batch, n_audio, _ = audio.shape
        if lengths is None:
            lengths = torch.full((batch,), n_audio, device=audio.device)
        layers = []
        for layer in self._blocks():
            cross = layer.encoder_attn
            keys, values = cross.keys_values(audio)
            shape = (batch, layer.self_attn.n_heads, capacity, audio.shape[-1] // layer.self_attn.n_heads)
            # Zeros, not empty: a masked cell still takes part in 0 * value, and 0 * NaN is NaN.
            layers.append(LayerCache(audio.new_zeros(shape), audio.new_zeros(shape), keys, values))
        return DecoderCache(layers, lengths, ragged=bool((lengths < n_audio).any()))

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        cache: DecoderCache,
        alignment_heads: Sequence[tuple[int, int]] = (),
    ) -> tuple[Tensor, Tensor | None]:
        """Run new tokens through the decoder.

        tokens, positions: (batch, n) long; a row's positions are those after what its cache already holds. Padding may
        repeat any position beyond the row's own tokens: it is overwritten or never seen.
        alignment_heads: (layer, head) pairs whose cross-attention is wanted.
        Returns hidden states (batch, n, d_model) and attention (batch, heads, n, n_audio_ctx) float32, or None.
        """
        x = self.embed_tokens(tokens) * self.embed_scale + self.embed_positions(positions)
        self_mask, cross_mask = cache.self_mask(positions), cache.cross_mask()
        captured: dict[tuple[int, int], Tensor] = {}
        for index, layer in enumerate(self._blocks()):
            heads = [head for at, head in alignment_heads if at == index]
            x = layer.attend_text(x, cache, index, positions, self_mask)
            x, weights = layer.attend_audio(x, cache.layers[index], cross_mask, heads)
            if weights is not None:
                captured |= {(index, head): weights[:, i] for i, head in enumerate(heads)}
            x = layer.feed_forward(x)
        attention = torch.stack([captured[pair] for pair in alignment_heads], dim=1) if alignment_heads else None
        return self.layer_norm(x), attention


class WhisperModel(nn.Module):
    """Encoder and decoder, without the head."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build both halves."""
        super().__init__()
        self.config = config
        self.encoder = WhisperEncoder(config)
        self.decoder = WhisperDecoder(config)


class WhisperForConditionalGeneration(nn.Module):
    """Whisper with its language-modelling head, which is the token embedding itself."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build the network; weights are random until `checkpoint.load_checkpoint` fills them."""
        super().__init__()
        self.config = config
        self.model = WhisperModel(config)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., d_model) -> (..., vocab_size), by the transposed embedding."""
        return F.linear(hidden, self.model.decoder.embed_tokens.weight)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher-forced logits, (batch, n, vocab_size), for log-mel frames and tokens (batch, n)."""
        audio = self.model.encoder(features)
        cache = self.model.decoder.new_cache(audio, capacity=tokens.shape[1])
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        hidden, _ = self.model.decoder(tokens, positions, cache)
        return self.logits(hidden)
