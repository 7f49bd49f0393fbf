"""A small Whisper twice, ours and the reference's: windows of one second, fifty timestamps, random weights that talk.

Its timestamps and ends of text come where chance has it, so that windows divide into several segments, or one, or none.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers
from torch import Tensor

from model.config import WhisperConfig
from model.generation_config import GenerationConfig
from model.whisper import WhisperForConditionalGeneration

WINDOW = 100
"""Frames."""
TEXT = 40
EOT, SOT, EN, DE, FR, TRANSLATE, TRANSCRIBE, START_OF_LM, PREVIOUS, NO_SPEECH, NO_TIMESTAMPS = range(TEXT, TEXT + 11)
TIMESTAMP_BEGIN = NO_TIMESTAMPS + 1
VOCABULARY = TIMESTAMP_BEGIN + WINDOW // 2 + 1
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_mel_bins": 8,
    "max_source_positions": WINDOW // 2, "max_target_positions": 64, "decoder_start_token_id": SOT,
    "eos_token_id": EOT, "pad_token_id": EOT, "bos_token_id": EOT,
}  # fmt: skip
FIELDS: dict[str, Any] = {
    "decoder_start_token_id": SOT, "eos_token_id": EOT, "pad_token_id": EOT, "bos_token_id": EOT, "max_length": 40,
    "is_multilingual": True, "lang_to_id": {"<|en|>": EN, "<|de|>": DE, "<|fr|>": FR},
    "task_to_id": {"transcribe": TRANSCRIBE, "translate": TRANSLATE}, "no_timestamps_token_id": NO_TIMESTAMPS,
    "prev_sot_token_id": PREVIOUS, "max_initial_timestamp_index": 20, "begin_suppress_tokens": [3, EOT],
    "suppress_tokens": [1, 2, SOT, TRANSLATE, TRANSCRIBE, START_OF_LM, PREVIOUS, NO_SPEECH],
    "alignment_heads": [[0, 1], [1, 0], [1, 3]], "return_timestamps": False,
}  # fmt: skip


@cache
def _networks(seed: int, median_width: int) -> tuple[WhisperForConditionalGeneration, Any]:
    """Build both; the generator is left as it was."""
    with torch.random.fork_rng():
        sizes = SIZES | {"median_filter_width": median_width}
        ours = WhisperForConditionalGeneration(WhisperConfig(**sizes)).eval().requires_grad_(requires_grad=False)
        generator = torch.Generator().manual_seed(seed)
        for name, weight in ours.named_parameters():
            if weight.ndim > 1 and "encoder.embed_positions" not in name:
                deviation = 0.8 if "embed_positions" in name else 0.35
                weight.normal_(0, deviation, generator=generator)
        decoder = ours.model.decoder
        for layer in decoder.layers:
            layer.encoder_attn.q_proj.weight *= 3  # so that the decoder looks somewhere
            layer.encoder_attn.out_proj.weight *= 3
        decoder.embed_tokens.weight[TIMESTAMP_BEGIN:] *= 0.7
        theirs = transformers.WhisperForConditionalGeneration(
            transformers.WhisperConfig(
                **sizes, attn_implementation="eager", suppress_tokens=None, begin_suppress_tokens=None
            )
        ).eval()
        theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def networks(seed: int = 0, median_width: int = 7, **fields: Any) -> tuple[WhisperForConditionalGeneration, Any]:
    """Return both with fresh generation configurations; fields: changes to `FIELDS`, None to leave one out."""
    ours, theirs = _networks(seed, median_width)
    chosen = {name: value for name, value in (FIELDS | fields).items() if value is not None}
    ours.generation_config = GenerationConfig(**chosen)
    theirs.generation_config = transformers.GenerationConfig(**chosen)
    return ours, theirs


def sound(*seconds: float, seed: int = 0) -> Tensor:
    """Random features of recordings of these lengths, padded to the longest, (batch, n_mels, n_frames)."""
    frames = [round(100 * length) for length in seconds]
    features = 3 * torch.randn(len(frames), 8, max(frames), generator=torch.Generator().manual_seed(seed))
    return features * mask(*seconds)[:, None]


def mask(*seconds: float) -> Tensor:
    """Say which frames of `sound` are not padding."""
    frames = torch.tensor([round(100 * length) for length in seconds])
    return (torch.arange(int(frames.max())) < frames[:, None]).long()
