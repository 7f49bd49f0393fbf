"""The same small network twice, ours and the reference's, with random weights that let texts vary and end."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import GenerationMixin

from model.config import WhisperConfig
from model.generation.search import search
from model.generation_config import GenerationConfig
from model.layers.outputs import BaseModelOutput
from model.whisper import WhisperForConditionalGeneration

VOCABULARY, START, EOS, PAD = 60, 50, 51, 52
SIZES: dict[str, int] = {
    "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 30,
    "max_target_positions": 64, "num_mel_bins": 8, "decoder_start_token_id": START, "eos_token_id": EOS,
    "pad_token_id": PAD, "bos_token_id": START,
}  # fmt: skip


@cache
def twins(seed: int = 0) -> tuple[WhisperForConditionalGeneration, Any]:
    """Return both."""
    ours = WhisperForConditionalGeneration(WhisperConfig(**SIZES)).eval().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in ours.named_parameters():
        if weight.ndim > 1:
            deviation = 1.0 if "embed_positions" in name else 0.35
            weight.normal_(0, deviation, generator=generator)
    theirs = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(**SIZES, attn_implementation="eager", begin_suppress_tokens=None)
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    theirs.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=START, eos_token_id=EOS, pad_token_id=PAD, bos_token_id=START
    )
    return ours, theirs


def audio(batch: int = 3, seed: int = 0) -> Tensor:
    """Loud random features, so that rows differ."""
    return 3 * torch.randn(batch, 8, 60, generator=torch.Generator().manual_seed(seed))


def prompt(batch: int = 3) -> Tensor:
    """Start, a token that differs by row, and another."""
    return torch.tensor([[START, 3 + row, 7] for row in range(batch)])


def encoded(network: WhisperForConditionalGeneration, features: Tensor, **wanted: Any) -> BaseModelOutput:
    """Return what our encoder makes of features."""
    with torch.no_grad():
        output: BaseModelOutput = network.get_encoder()(features, **wanted, return_dict=True)
    return output


def both(
    settings: dict[str, Any], *, batch: int = 3, seed: int = 0, draw: int = 0, ids: Tensor | None = None, **given: Any
) -> tuple[Any, Any]:
    """Search with both networks, each from the same state of the generator; return what ours and theirs say.

    given: processors, stopping, decoder_attention_mask, prefix_allowed_tokens_fn of `search`.
    """
    ours, theirs = twins(seed)
    features, ids = audio(batch, seed), prompt(batch) if ids is None else ids
    tokens = {"eos_token_id": EOS, "pad_token_id": PAD} | settings
    wanted = {name: settings[name] for name in ("output_attentions", "output_hidden_states") if name in settings}
    outputs = encoded(ours, features, **wanted)
    torch.manual_seed(draw)
    found = search(ours, ids, outputs, GenerationConfig(**tokens), **given)
    names = {"processors": "logits_processor", "stopping": "stopping_criteria"}
    torch.manual_seed(draw)
    expected = GenerationMixin.generate(
        theirs,
        features,
        decoder_input_ids=ids,
        **tokens,
        **{names.get(name, name): value for name, value in given.items()},
    )
    return found, expected
