"""Networks of released shapes and random weights, made where they run.

Random weights take the same time as trained ones: the same numbers of operations, bytes and launches. What they say is
of no use: each position leans so far towards one token that a known text comes whatever is heard, so that drafts can be
made of which a known share is right. How many tokens come is said by the limit, for the end of text is suppressed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.config import WhisperConfig
from model.decoding.decode import BatchDecoder
from model.decoding.graphs import Stepping
from model.device import Precision
from model.quantization import prepare
from model.rules import LogitRules
from model.whisper import WhisperForConditionalGeneration, sinusoids

STD = 0.02
"""Of all weights. Large ones would overflow float16, small ones underflow it."""
EOT, SOT, NOSPEECH, NO_TIMESTAMPS = 50257, 50258, 50362, 50363
"""In the multilingual vocabulary; one more from `translate` on in that of large-v3, which makes no difference here."""
MARGIN = 25.0
"""Logit of the token that a position leans to; the timestamps together have one of 8."""
LEANING = 600.0
"""Length of a position's vector; what 32 layers of such weights add is a third as long, in any direction."""
HEAD = (SOT, SOT + 1, SOT + 101)


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a released model."""

    name: str
    d_model: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    alignment_heads: int
    """How many there are."""
    mels: int = 80
    vocabulary: int = 51865


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny", 384, 6, 4, 4, 6),
        Shape("base", 512, 8, 6, 6, 8),
        Shape("small", 768, 12, 12, 12, 10),
        Shape("medium", 1024, 16, 24, 24, 6),
        Shape("large-v3", 1280, 20, 32, 32, 10, 128, 51866),
        Shape("large-v3-turbo", 1280, 20, 32, 4, 6, 128, 51866),
    )
}


def build(shape: Shape, device: torch.device, precision: Precision) -> WhisperForConditionalGeneration:
    """Return a network that is ready to recognise; a seed makes it the same every time."""
    d = shape.d_model
    config = WhisperConfig(
        vocab_size=shape.vocabulary,
        num_mel_bins=shape.mels,
        d_model=d,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * d,
        decoder_ffn_dim=4 * d,
    )
    with torch.device("meta"):
        network = WhisperForConditionalGeneration(config)
    network = network.to_empty(device=device).to(precision.dtype).eval()
    network.tie_weights()
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, STD, generator=generator)
            else:
                weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        network.model.encoder.embed_positions.weight.copy_(sinusoids(config.max_source_positions, d))
        _lean(network)
    prepare(network, precision)
    return network


def _lean(network: WhisperForConditionalGeneration) -> None:
    """Let each position say a token of its own."""
    decoder = network.model.decoder
    # The last layer norm makes hidden states as long as the root of d_model, and embeddings are to be MARGIN / it long.
    decoder.embed_tokens.weight.mul_(MARGIN / (STD * decoder.config.d_model))
    positions = decoder.embed_positions.weight
    # Far from each other, so that a draft with a wrong token continues where it should.
    tokens = 1000 + 97 * torch.arange(len(positions), device=positions.device)
    said = decoder.embed_tokens.weight[tokens].float()
    positions.copy_(LEANING * said / said.norm(dim=1, keepdim=True))


def decoder_of(
    shape: Shape, network: WhisperForConditionalGeneration, *, stepping: Stepping | None = None
) -> BatchDecoder:
    """Return a decoder that never ends a text by itself; stepping: as BatchDecoder takes it."""
    rules = LogitRules(
        vocab_size=shape.vocabulary,
        eot=EOT,
        no_timestamps=NO_TIMESTAMPS,
        suppress=tuple(range(EOT, NO_TIMESTAMPS)),
        device=network.device,
    )
    heads = [(shape.decoder_layers - 1 - at % 2, at // 2) for at in range(shape.alignment_heads)]
    return BatchDecoder(network, rules, nospeech=NOSPEECH, alignment_heads=heads, stepping=stepping)
