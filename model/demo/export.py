"""From a training checkpoint to the folder that is shipped: all 51,865 rows, float16, Hugging Face's layout.

`python -m model.demo.export runs/demo/checkpoint.pt` writes weights and configuration beside this file; the tokenizer
is written by `model.demo.tokenizer_files`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.demo import vocabulary as v
from model.demo.network import AHEAD_HEADS, small_config
from model.text.languages import LANGUAGES

HERE = Path(__file__).parent

# What released multilingual checkpoints suppress: openai-whisper's `non_speech_tokens` (brackets, quotes, symbols,
# music notes, speaker marks), then sot, translate, transcribe, startoflm, startofprev, nospeech. Recomputed from the
# vocabulary in tests/model/test_demo_model.py. No digit word is among them.
SUPPRESSED = (
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 359, 503, 522, 542, 873, 893,
    902, 918, 922, 931, 1350, 1853, 1982, 2460, 2627, 3246, 3253, 3268, 3536, 3846, 3961, 4183, 4667, 6585, 6647, 7273,
    9061, 9383, 10428, 10929, 11938, 12033, 12331, 12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604, 18362, 18956,
    20075, 21675, 22520, 26130, 26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425, 49870, 50254,
    50258, 50358, 50359, 50360, 50361, 50362,
)  # fmt: skip
BEGIN_SUPPRESSED = (220, v.ENDOFTEXT)


def expanded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights over the small vocabulary to those over the full one, float16."""
    name, tied = "model.decoder.embed_tokens.weight", "proj_out.weight"
    full = {key: value.to(torch.float16).contiguous() for key, value in state.items() if key != tied}
    full[name] = full[name][v.rows_of_vocabulary()].contiguous()
    return full


def contracted(full: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take back `expanded`: weights over the full vocabulary to float32 ones over the small one, tied head included."""
    name, tied = "model.decoder.embed_tokens.weight", "proj_out.weight"
    state = {key: value.float() for key, value in full.items()}
    rows = torch.empty(v.SMALL, dtype=torch.long)
    rows[v.rows_of_vocabulary()] = torch.arange(v.VOCABULARY)
    state[tied] = state[name] = state[name][rows]
    return state


def model_config() -> dict[str, Any]:
    """Return what `config.json` says; the field `streamer` is ours."""
    small = small_config()
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "activation_function": "gelu",
        "bos_token_id": v.ENDOFTEXT,
        "d_model": small.d_model,
        "decoder_attention_heads": small.decoder_attention_heads,
        "decoder_ffn_dim": small.decoder_ffn_dim,
        "decoder_layers": small.decoder_layers,
        "decoder_start_token_id": v.STARTOFTRANSCRIPT,
        "dropout": 0.0,
        "encoder_attention_heads": small.encoder_attention_heads,
        "encoder_ffn_dim": small.encoder_ffn_dim,
        "encoder_layers": small.encoder_layers,
        "eos_token_id": v.ENDOFTEXT,
        "is_encoder_decoder": True,
        "max_source_positions": small.max_source_positions,
        "max_target_positions": small.max_target_positions,
        "num_hidden_layers": small.encoder_layers,
        "num_mel_bins": small.num_mel_bins,
        "pad_token_id": v.ENDOFTEXT,
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "vocab_size": v.VOCABULARY,
        "streamer": {
            "encoder_context": "dynamic",
            "encoder_reuse": True,
            "languages": ["en"],
            "earlier_text": False,
            "sure_end": 0.997,
        },
    }


def generation_config() -> dict[str, Any]:
    """Return what `generation_config.json` says, as released checkpoints do."""
    return {
        "alignment_heads": [list(AHEAD_HEADS[-1])],
        "begin_suppress_tokens": list(BEGIN_SUPPRESSED),
        "bos_token_id": v.ENDOFTEXT,
        "decoder_start_token_id": v.STARTOFTRANSCRIPT,
        "eos_token_id": v.ENDOFTEXT,
        "is_multilingual": True,
        "lang_to_id": {f"<|{code}|>": token for token, code in zip(v.LANGUAGES, LANGUAGES, strict=False)},
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "no_timestamps_token_id": v.NOTIMESTAMPS,
        "pad_token_id": v.ENDOFTEXT,
        "prev_sot_token_id": v.STARTOFPREV,
        "return_timestamps": False,
        "suppress_tokens": list(SUPPRESSED),
        "task_to_id": {"transcribe": v.TRANSCRIBE, "translate": v.TRANSLATE},
    }


def preprocessor_config() -> dict[str, Any]:
    """Return what `preprocessor_config.json` says: Whisper's log-mel."""
    return {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 80,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480_000,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "processor_class": "WhisperProcessor",
        "return_attention_mask": False,
        "sampling_rate": 16_000,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON with a newline at its end."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export(checkpoint: Path, folder: Path) -> None:
    """Write weights (the running mean of training) and configuration into `folder`."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["mean"]
    prefix = "whisper."
    weights = expanded({k.removeprefix(prefix): w for k, w in state.items() if k.startswith(prefix)})
    folder.mkdir(parents=True, exist_ok=True)
    # Readers see the old file or the new one, never half of one.
    save_file(weights, folder / "model.safetensors.new", metadata={"format": "pt"})
    (folder / "model.safetensors.new").chmod(0o644)
    (folder / "model.safetensors.new").rename(folder / "model.safetensors")
    write_json(folder / "config.json", model_config())
    write_json(folder / "generation_config.json", generation_config())
    write_json(folder / "preprocessor_config.json", preprocessor_config())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, default=HERE)
    given = parser.parse_args()
    export(given.checkpoint, given.folder)


if __name__ == "__main__":
    main()
