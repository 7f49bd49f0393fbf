"""A whole Whisper of random weights and a small vocabulary, for tests that need no trained model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from model.checkpoint import Checkpoint
from model.config import WhisperConfig
from model.features import WhisperFeatureExtractor
from model.generation.derivation import derive
from model.text.languages import LANGUAGES
from model.types import SAMPLE_RATE, Samples
from model.vocabulary import Vocabulary
from model.whisper import WhisperForConditionalGeneration, sinusoids

SPECIALS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *[f"<|{code}|>" for code in list(LANGUAGES)[:5]],
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
]


@cache
def small_tokenizer() -> Vocabulary:
    """Bytes, a few merges, five languages."""
    alphabet = sorted(ByteLevel.alphabet())
    space = "Ġ"
    merges = [(space, letter) for letter in "abcdefghijklmnopqrstuvwxyz"]
    merges += [(first, second) for first in "bdklmnrst" for second in "aeiou"]
    merges += [(space + first, second) for first in "bdklmnrst" for second in "aeiou"]
    words = [*alphabet, *[a + b for a, b in merges]]
    text = Tokenizer(BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges))
    text.pre_tokenizer = ByteLevel(add_prefix_space=False)
    text.decoder = ByteLevelDecoder()
    names = [*SPECIALS, *[f"<|{i * 0.02:.2f}|>" for i in range(1501)]]
    return Vocabulary(text, {name: len(words) + i for i, name in enumerate(names)})


@cache
def small_checkpoint(ending: float = -1.9) -> Checkpoint:
    """One whose greedy output varies: default weights say one token for ever.

    ending: scale of the end of text's embedding; -1.9 ends rows of loud random features after 10 to 60 tokens.
    """
    tokenizer = small_tokenizer()
    config = WhisperConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        decoder_start_token_id=tokenizer.sot,
        eos_token_id=tokenizer.eot,
        pad_token_id=tokenizer.eot,
        bos_token_id=tokenizer.eot,
    )
    network = WhisperForConditionalGeneration(config).eval().requires_grad_(requires_grad=False)
    decoder = network.model.decoder
    torch.manual_seed(0)
    for module in network.model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    with torch.no_grad():
        network.model.encoder.embed_positions.weight.copy_(sinusoids(config.max_source_positions, config.d_model))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1 and "embed_positions" not in name:
                weight.normal_(0, 0.3)
        decoder.embed_positions.weight.normal_(0, 1)
        for layer in decoder.layers:
            layer.encoder_attn.out_proj.weight *= 3
        # Else no row would ever end, or all at once.
        decoder.embed_tokens.weight[tokenizer.eot] *= ending
    generation = derive(config, tokenizer)
    return Checkpoint("small", Path(), network, config, generation, tokenizer, WhisperFeatureExtractor(), "")


def noise(seconds: float, seed: int = 0) -> Samples:
    """Sound with some shape: noise whose loudness and colour change."""
    random = np.random.default_rng(seed)
    n = int(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * (200 + 300 * np.sin(2 * np.pi * 0.7 * t + seed)) * t)
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 1.3 * t + seed)
    return (0.2 * loud * (tone + 0.3 * random.standard_normal(n))).astype(np.float32)
