"""The network in training: a stock Whisper with a good start, run with position offsets and visible attention.

Nothing here changes the architecture. The start (local attention, position copies, sinusoidal timestamps)
is a choice of ordinary weights; without it a network this small did not find the alignment within an hour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.config import WhisperConfig
from model.demo import vocabulary as v
from model.layers.attention import WhisperAttention
from model.whisper import (
    WhisperDecoderLayer,
    WhisperEncoderLayer,
    WhisperForConditionalGeneration,
    sinusoids,
)

D_MODEL = 128
HEAD = 32
SHIFTS = ((-1, 1, -3, 3), (-2, 2, -6, 6), (-4, 4, -12, 12))
"""Encoder positions that the heads of the first layers look at, relative to their own, at the start."""
BEHIND_HEAD = (0, 0)
"""Layer and head of the decoder that look at the audio of the token just read."""
AHEAD_HEADS = ((1, 0), (2, 0))
"""Layer and head of the decoder that look at the audio of the token to be said; the last one is exported."""

DEAF = (*range(7), *range(62, 80))
"""Mel bands that are not heard: below 280 Hz and above 3.9 kHz. How low a voice is and what a microphone leaves beyond
a telephone's band tell four speakers apart, and with them their words; of a fifth they tell nothing."""
SILENCE = -0.85
"""What log-mel has where nothing is, beside speech of -18 dBFS."""
DROPOUT = 0.1
"""Share of channels that each branch of the encoder loses in training."""
SHORT = 320
"""Encoder positions up to which plain attention trains faster on a CPU than the fused one."""


def small_config() -> WhisperConfig:
    """Return the configuration of the demo model over its small vocabulary."""
    return WhisperConfig(
        vocab_size=v.SMALL, d_model=D_MODEL,
        encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=4 * D_MODEL,
        decoder_layers=3, decoder_attention_heads=4, decoder_ffn_dim=4 * D_MODEL,
    )  # fmt: skip


class DemoNetwork(nn.Module):
    """A Whisper over the small vocabulary, and a head on its encoder that only training uses."""

    def __init__(self) -> None:
        """Build with the starting weights."""
        super().__init__()
        self.whisper = WhisperForConditionalGeneration(small_config())
        self.frame_head = nn.Linear(D_MODEL, 11)
        with torch.no_grad():
            _start(self.whisper)
        self.hold()

    @torch.no_grad()
    def hold(self) -> None:
        """Put the reserved dimension back to its fixed values, and hear nothing of deaf bands; after each step."""
        decoder = self.whisper.model.decoder
        decoder.embed_tokens.weight[:, v.RESERVED] = v.reserved_column()
        decoder.layer_norm.weight[v.RESERVED] = 0.0
        decoder.layer_norm.bias[v.RESERVED] = v.RESERVED_BIAS
        self.whisper.model.encoder.conv1.weight[:, list(DEAF)] = 0.0

    @torch.no_grad()
    def deafen(self) -> None:
        """Take deaf bands for silent: where a network goes on that has learned with them."""
        first = self.whisper.model.encoder.conv1
        assert first.bias is not None
        first.bias += SILENCE * first.weight[:, list(DEAF)].sum(dim=(1, 2))
        self.hold()


def _encoder_layers(whisper: WhisperForConditionalGeneration) -> list[WhisperEncoderLayer]:
    """Return the encoder's layers by their type, which ModuleList forgets."""
    return cast("list[WhisperEncoderLayer]", list(whisper.model.encoder.layers))


def _decoder_layers(whisper: WhisperForConditionalGeneration) -> list[WhisperDecoderLayer]:
    """Return the decoder's layers by their type."""
    return cast("list[WhisperDecoderLayer]", list(whisper.model.decoder.layers))


def _look(attention: WhisperAttention, head: int, *, shift: int, fastest: int, sharpness: float) -> None:
    """Start a head of `attention` to look `shift` positions away, by 16 of the sinusoids from `fastest` on."""
    half, count = D_MODEL // 2, HEAD // 2
    inverse = torch.exp(-math.log(10000.0) / (half - 1) * torch.arange(half))
    for index in range(count):
        wave = fastest + index
        row_sine, row_cosine = head * HEAD + index, head * HEAD + count + index
        sine, cosine = math.sin(shift * float(inverse[wave])), math.cos(shift * float(inverse[wave]))
        for row in (row_sine, row_cosine):
            attention.q_proj.weight[row] *= 0.1
            attention.k_proj.weight[row] *= 0.1
        attention.k_proj.weight[row_sine, wave] += sharpness
        attention.k_proj.weight[row_cosine, half + wave] += sharpness
        # sin(t + s) = sin t cos s + cos t sin s, and so for the cosine.
        attention.q_proj.weight[row_sine, wave] += sharpness * cosine
        attention.q_proj.weight[row_sine, half + wave] += sharpness * sine
        attention.q_proj.weight[row_cosine, half + wave] += sharpness * cosine
        attention.q_proj.weight[row_cosine, wave] -= sharpness * sine


def _start(whisper: WhisperForConditionalGeneration) -> None:
    """Fill the starting weights in place."""
    encoder, decoder = whisper.model.encoder, whisper.model.decoder
    # From torch's own start, not the reference's, which is tamer still.
    for module in whisper.model.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d)):
            module.reset_parameters()
    # Default convolutions put out a twentieth of what the sinusoids weigh: the audio would not be heard beside them.
    for convolution in (encoder.conv1, encoder.conv2):
        convolution.weight *= 4.0 if convolution is encoder.conv1 else 2.0
    for layer, shifts in zip(_encoder_layers(whisper), SHIFTS, strict=False):
        for head, shift in enumerate(shifts):
            _look(layer.self_attn, head, shift=shift, fastest=0, sharpness=1.5)
    for decoder_layer in _decoder_layers(whisper):
        for head in range(2):
            _look(decoder_layer.encoder_attn, head, shift=0, fastest=4 + 8 * head, sharpness=2.0)
    decoder.embed_tokens.weight.normal_(0, 0.1)
    decoder.embed_tokens.weight[v.TIME :] = 0.2 * sinusoids(v.TIMESTAMPS, D_MODEL)
    decoder.embed_tokens.weight[v.UNKNOWN] = 0
    decoder.embed_tokens.weight[v.OTHER_LANGUAGE] = decoder.embed_tokens.weight[v.EN]
    decoder.embed_positions.weight.normal_(0, 0.02)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one teacher-forced pass computes."""

    logits: Tensor
    """(batch, n, SMALL) float32."""
    frames: Tensor
    """(batch, n_positions, 11) float32."""
    behind: Tensor
    """(batch, n, n_positions) attention scores of BEHIND_HEAD."""
    ahead: tuple[Tensor, ...]
    """The same of AHEAD_HEADS."""


def _thinned(x: Tensor, share: float) -> Tensor:
    """Drop a share of the channels of each row's (batch, n, channels) for all its positions, and make up for it."""
    if not share:
        return x
    return x * (torch.rand(len(x), 1, x.shape[-1]) >= share) / (1 - share)


def encode(whisper: WhisperForConditionalGeneration, features: Tensor, offsets: Tensor, dropout: float = 0.0) -> Tensor:
    """Log-mel frames (batch, 80, 2 n) to audio features (batch, n, d_model), positions counted from `offsets`."""
    encoder = whisper.model.encoder
    x = F.gelu(encoder.conv1(features))
    x = F.gelu(encoder.conv2(x)).transpose(1, 2)
    places = offsets[:, None] + torch.arange(x.shape[1])
    x = x + encoder.embed_positions.weight[places]
    for layer in _encoder_layers(whisper):
        own = layer.self_attn
        normed = layer.self_attn_layer_norm(x)
        queries, (keys, values) = own.queries(normed), own.keys_values(normed)
        if x.shape[1] <= SHORT:
            weights = (queries / math.sqrt(HEAD) @ keys.transpose(-1, -2)).softmax(-1)
            mixed = own.out_proj((weights.to(values.dtype) @ values).transpose(1, 2).flatten(2))
        else:
            mixed = own.attend(queries, keys, values)
        x = x + _thinned(mixed, dropout)
        x = x + _thinned(layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x)))), dropout)
    out: Tensor = encoder.layer_norm(x)
    return out


def see(network: DemoNetwork, features: Tensor, tokens: Tensor, positions: Tensor, offsets: Tensor) -> Seen:
    """Run the network over a batch of log-mel frames and tokens (batch, n)."""
    decoder = network.whisper.model.decoder
    audio = encode(network.whisper, features, offsets, DROPOUT)
    x = decoder.embed_tokens(tokens) + decoder.embed_positions(positions)
    scores: dict[tuple[int, int], Tensor] = {}
    for index, layer in enumerate(_decoder_layers(network.whisper)):
        normed = layer.self_attn_layer_norm(x)
        own = layer.self_attn
        x = x + own.attend(own.queries(normed), *own.keys_values(normed), causal=True)
        cross = layer.encoder_attn
        queries = cross.queries(layer.encoder_attn_layer_norm(x))
        keys, values = cross.keys_values(audio)
        x = x + cross.attend(queries, keys, values)
        scores[index, 0] = queries[:, 0] @ keys[:, 0].transpose(1, 2) / math.sqrt(HEAD)
        x = layer.feed_forward(x)
    hidden = decoder.layer_norm(x)
    with torch.autocast("cpu", enabled=False):
        logits = network.whisper.logits(hidden.float())
        frames = network.frame_head(audio.float())
    return Seen(logits, frames, scores[BEHIND_HEAD], tuple(scores[pair] for pair in AHEAD_HEADS))
