"""The weights that all are compared on, in the layouts that other programs read.

Each call writes into a new folder, so that processes at work in the same place do not meet.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch

from benchmarks.peers.absent import NotMeasured
from model import WhisperForConditionalGeneration
from model.files.hub import demo_folder
from model.files.weights import from_openai


def checkpoint_folder(model: str) -> Path:
    """Return where a model's files lie. model: demo, or a folder as transformers writes it. Raises NotMeasured."""
    if model == "demo":
        return demo_folder()
    if not (Path(model) / "config.json").is_file():
        raise NotMeasured(
            "peers", f"their weights are made from demo or from a folder of transformers, not from {model}"
        )
    return Path(model)


def write_ctranslate2(work: Path, model: str = "demo") -> Path:
    """Convert the weights for CTranslate2, in float32: the reader chooses what to compute in. Raises NotMeasured."""
    target = Path(mkdtemp(dir=work)) / "ctranslate2"
    converter = import_module("ctranslate2.converters").TransformersConverter(
        str(checkpoint_folder(model)), copy_files=["tokenizer.json", "preprocessor_config.json"]
    )
    converter.convert(str(target), quantization="float32")
    return target


def write_openai(work: Path, name: str, whisper: Any, model: str = "demo") -> Path:
    """Write `name.pt` as openai/whisper does. whisper: the package, or a copy of it, that is to read it.

    Raises NotMeasured for a model that is not there.
    """
    folder = str(checkpoint_folder(model))
    reference = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    config, ours = reference.config, reference.model.state_dict()
    dims = {
        "n_mels": config.num_mel_bins,
        "n_audio_ctx": config.max_source_positions,
        "n_audio_state": config.d_model,
        "n_audio_head": config.encoder_attention_heads,
        "n_audio_layer": config.encoder_layers,
        "n_vocab": config.vocab_size,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_text_head": config.decoder_attention_heads,
        "n_text_layer": config.decoder_layers,
    }
    theirs = whisper.model.Whisper(whisper.model.ModelDimensions(**dims)).state_dict()
    named = dict(zip(from_openai(theirs), theirs, strict=True))
    state = {named[name]: tensor for name, tensor in ours.items() if name in named}
    path = Path(mkdtemp(dir=work)) / f"{name}.pt"
    torch.save({"dims": dims, "model_state_dict": state}, path)
    return path


def register_openai(path: Path, whisper: Any, model: str = "demo") -> None:
    """Add a file to the table of models that the package can load by name, with its alignment heads."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = path.stem
    whisper._MODELS[name] = f"file:///{digest}/{path.name}"  # noqa: SLF001 - the package's own list of known models
    whisper._ALIGNMENT_HEADS[name] = alignment_heads(model)  # noqa: SLF001 - as above


def alignment_heads(model: str = "demo") -> bytes:
    """Return a model's alignment heads as openai/whisper lists them: base85 of gzip of one byte a head."""
    folder = checkpoint_folder(model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["alignment_heads"]
    table = np.zeros((config["decoder_layers"], config["decoder_attention_heads"]), dtype=bool)
    for layer, head in heads:
        table[layer, head] = True
    return base64.b85encode(gzip.compress(table.tobytes()))
