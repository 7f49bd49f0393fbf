"""A checkpoint in the layout of whisper.cpp, its matrices in blocks of 8 bits (q8_0).

Layout, all little-endian: magic, eleven dimensions, mel filters, vocabulary, then tensors, each with its dimensions
reversed. A block is 32 numbers: a scale in float16 and 32 signed bytes. Source: whisper.cpp, whisper_model_load and
ggml's block_q8_0.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from model.audio.spectrogram import mel_filters
from model.vocabulary import token_bytes
from model.whisper import WhisperForConditionalGeneration

MAGIC = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8
"""Types of tensors."""
FILE_TYPE = 7 + 2000
"""Mostly q8_0, in the second version of the blocks."""
BLOCK = 32
NAMES = (
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"\.self_attn\.", ".attn."),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"attn\.out_proj\.", "attn.out."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"\.embed_positions\.weight$", ".positional_embedding"),
    (r"\.embed_tokens\.", ".token_embedding."),
)
"""Our names and theirs."""


def write_ggml(network: WhisperForConditionalGeneration, tokenizer: Path, path: Path) -> None:
    """Write a network and its vocabulary, tokenizer.json, into one file."""
    config = network.config
    with path.open("wb") as file:
        file.write(struct.pack("<I", MAGIC))
        audio = (config.max_source_positions, config.d_model, config.encoder_attention_heads, config.encoder_layers)
        text = (config.max_target_positions, config.d_model, config.decoder_attention_heads, config.decoder_layers)
        file.write(struct.pack("<11i", config.vocab_size, *audio, *text, config.num_mel_bins, FILE_TYPE))
        filters = mel_filters(config.num_mel_bins).numpy().astype("<f4")
        file.write(struct.pack("<2i", *filters.shape))
        file.write(filters.tobytes())
        words = token_bytes(Tokenizer.from_file(str(tokenizer)), {})
        text_tokens = config.eos_token_id
        assert isinstance(text_tokens, int)
        file.write(struct.pack("<i", text_tokens))
        for token in range(text_tokens):
            file.write(struct.pack("<i", len(words[token])) + words[token])
        for name, tensor in network.model.state_dict().items():
            _write_tensor(file, _renamed(name), tensor)


def _renamed(name: str) -> str:
    for pattern, theirs in NAMES:
        name = re.sub(pattern, theirs, name)
    return name


def _write_tensor(file: BinaryIO, name: str, tensor: Tensor) -> None:
    """Write one tensor: matrices in blocks, convolutions in float16, the rest in float32."""
    values = tensor.detach().float().numpy()
    if re.fullmatch(r"encoder\.conv\d\.bias", name):
        values = values[:, None]
    if values.ndim == 3:
        kind, data = F16, values.astype("<f2").tobytes()
    elif values.ndim == 2 and name.endswith(".weight"):
        kind, data = Q8_0, _blocks(values)
    else:
        kind, data = F32, values.astype("<f4").tobytes()
    encoded = name.encode()
    file.write(struct.pack("<3i", values.ndim, len(encoded), kind))
    file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)))
    file.write(encoded)
    file.write(data)


def _blocks(values: NDArray[np.float32]) -> bytes:
    """Quantise, each 32 numbers of a row by their largest magnitude."""
    blocks = values.reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    whole = np.round(blocks / np.where(scale > 0, scale, 1)).astype(np.int8)
    packed = np.empty(len(blocks), dtype=[("scale", "<f2"), ("values", np.int8, BLOCK)])
    packed["scale"], packed["values"] = scale[:, 0], whole
    return packed.tobytes()
