"""A Whisper and all that belongs to it, loaded from wherever its name leads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.config import ModelError, WhisperConfig
from model.device import choose_device, choose_precision, default_threads, set_up
from model.features import WhisperFeatureExtractor
from model.files import weights
from model.files.hub import Source, demo_folder, resolve
from model.files.stored import StoredTensor, as_stored
from model.generation import derivation
from model.generation_config import GenerationConfig
from model.networks import loading
from model.quantization import is_worth_int8, prepare
from model.types import HOP, WINDOW_SAMPLES, ModelCard, Task
from model.vocabulary import Vocabulary
from model.whisper import WhisperForConditionalGeneration

MULTILINGUAL, LARGE_V3 = 51865, 51866
"""Vocabulary sizes; large-v3 has Cantonese besides."""
WINDOW_POSITIONS = WINDOW_SAMPLES // HOP // 2
"""What the encoder of a model for recognition hears: 1500, 30 s."""

_OPENAI_DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_vocab": "vocab_size",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_text_ctx": "max_target_positions",
    "n_text_head": "decoder_attention_heads",
    "n_text_layer": "decoder_layers",
}
"""Dimensions in an openai file that matter, and the fields of our configuration they set."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network with the vocabulary, rules and features it was trained with."""

    name: str
    """As it was asked for; `auto` has become what it stood for."""
    path: Path
    """The folder or file it came from."""
    model: WhisperForConditionalGeneration
    config: WhisperConfig
    generation: GenerationConfig
    tokenizer: Vocabulary
    features: WhisperFeatureExtractor
    notice: str = ""
    """What the operator should know; empty if there is nothing to say."""
    precision: str = ""
    """What it computes in; empty for the type of its weights."""

    @property
    def n_mels(self) -> int:
        """Mel bands the encoder hears: 80 or 128."""
        return self.config.num_mel_bins

    @property
    def uses_earlier_text(self) -> bool:
        """Whether the text before a window helps the model to hear it; its card says if not."""
        return bool(self.streamer.get("earlier_text", True))

    @property
    def streamer(self) -> Mapping[str, Any]:
        """What the model's card says to this program, such as {"encoder_context": "dynamic"}."""
        said = self.config.extra.get("streamer")
        return said if isinstance(said, Mapping) else {}

    @property
    def languages(self) -> dict[str, int]:
        """Token of each language that the model knows: fewer than the vocabulary names, if its card says so."""
        named = self.tokenizer.languages
        known = self.streamer.get("languages", named)
        return {code: token for code, token in named.items() if code in known}

    def card(self, encoder_context: str) -> ModelCard:
        """Say what a client may know of the model; encoder_context: full or dynamic."""
        return ModelCard(
            name=self.name,
            languages=tuple(self.languages) or ("en",),
            device=str(self.model.device),
            precision=self.precision or str(self.model.dtype).removeprefix("torch."),
            encoder_context=encoder_context,
            tasks=tuple(Task) if set(self.languages) - {"en"} else (Task.TRANSCRIBE,),
        )


def load_checkpoint(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
    offline: bool = False,
    progress: bool | None = None,
) -> Checkpoint:
    """Load a model by any name `resolve` understands.

    dtype: type of the weights in memory, whatever it is in the file; None keeps the file's; offline: ask no hub;
    progress: as in `resolve`.
    Raises ModelError with what is wrong and where; only `auto` falls back, and says so in `notice`.
    """
    source = resolve(name, offline=offline, progress=progress)
    if source.path.is_file():
        return _load_openai(source, torch.device(device), dtype)
    return _load_folder(source, torch.device(device), dtype)


def load_for_recognition(
    name: str, device: str, precision: str, threads: int, *, offline: bool, alone: bool = False
) -> Checkpoint:
    """Load a model where and as it is to run, and set torch up for it.

    name: as `load_checkpoint` takes it; device: auto, cpu, cuda, cuda:1 …; precision: auto, float32, int8, bfloat16 or
    float16; threads: of the CPU, 0 for all cores but the one that an event loop needs, and that one too if the caller
    is `alone`. Raises ModelError for what cannot be used.
    """
    where = choose_device(device)
    wanted = choose_precision(precision, where)
    torch.set_num_threads(threads or default_threads(alone=alone))
    set_up(where)
    checkpoint = load_checkpoint(name, device=where, dtype=wanted.dtype, offline=offline)
    if (heard := checkpoint.config.max_source_positions) != WINDOW_POSITIONS:
        raise ModelError(
            f"{checkpoint.path}: max_source_positions must be {WINDOW_POSITIONS}, windows of 30 s, got {heard}"
        )
    if precision == "auto":
        wanted = choose_precision(precision, where, worth_int8=is_worth_int8(checkpoint.model))
    prepare(checkpoint.model, wanted, checkpoint.generation.alignment_heads or ())
    return dataclasses.replace(checkpoint, precision=str(wanted))


def _load_folder(source: Source, device: torch.device, dtype: torch.dtype | None) -> Checkpoint:
    """Load a folder in Hugging Face layout."""
    folder = source.path
    config = WhisperConfig.from_file(folder / "config.json")
    tokenizer = Vocabulary.from_pretrained(folder)
    if (folder / "preprocessor_config.json").is_file() or (folder / "processor_config.json").is_file():
        features = WhisperFeatureExtractor.from_pretrained(folder)
    else:
        features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    if features.feature_size != config.num_mel_bins:
        raise ModelError(
            f"{folder}: feature_size in the preprocessor's configuration must be num_mel_bins of config.json, "
            f"{config.num_mel_bins}, got {features.feature_size}"
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelError(
            f"{folder}: the vocabulary has {tokenizer.vocab_size} tokens, more than vocab_size of config.json, "
            f"{config.vocab_size}"
        )
    generation = derivation.load(folder, config, tokenizer)
    model = _build(folder, config, weights.read_folder(folder), device, dtype)
    model.generation_config = generation
    return Checkpoint(source.name, folder, model, config, generation, tokenizer, features, source.notice)


def _load_openai(source: Source, device: torch.device, dtype: torch.dtype | None) -> Checkpoint:
    """Load a file of openai/whisper. It carries no vocabulary; the multilingual one is that of the embedded model."""
    if source.path.suffix != ".pt":
        raise ModelError(f"{source.path}: a file must be an openai .pt; of any other layout give the folder")
    contents = weights.read_pickle(source.path)
    if not isinstance(contents.get("dims"), dict) or not isinstance(contents.get("model_state_dict"), dict):
        raise ModelError(f"{source.path} is not an openai checkpoint: it has no dims and model_state_dict")
    config = _openai_config(source.path, contents["dims"])
    tokenizer = _openai_tokenizer(source.path, config.vocab_size)
    config = dataclasses.replace(
        config,
        decoder_start_token_id=tokenizer.sot,
        eos_token_id=tokenizer.eot,
        pad_token_id=tokenizer.eot,
        bos_token_id=tokenizer.eot,
    )
    tensors = as_stored(weights.from_openai(contents["model_state_dict"]))
    model = _build(source.path, config, tensors, device, dtype)
    generation = derivation.derive(config, tokenizer)
    features = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    model.generation_config = generation
    return Checkpoint(source.name, source.path, model, config, generation, tokenizer, features, source.notice)


def _openai_config(path: Path, dims: Mapping[str, Any]) -> WhisperConfig:
    """Translate the dimensions of an openai file."""
    if missing := sorted(_OPENAI_DIMENSIONS.keys() - dims.keys()):
        raise ModelError(f"{path}: dims must hold {', '.join(_OPENAI_DIMENSIONS)}; missing {', '.join(missing)}")
    values = {field: dims[name] for name, field in _OPENAI_DIMENSIONS.items()}
    try:
        return WhisperConfig(**values, encoder_ffn_dim=4 * values["d_model"], decoder_ffn_dim=4 * values["d_model"])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _openai_tokenizer(path: Path, vocab_size: int) -> Vocabulary:
    """Return the vocabulary of an openai file of that size."""
    if vocab_size not in {MULTILINGUAL, LARGE_V3}:
        raise ModelError(
            f"{path}: an openai .pt must have the multilingual vocabulary of {MULTILINGUAL} or {LARGE_V3} tokens, "
            f"got {vocab_size}; take an English-only model in Hugging Face layout, such as openai/whisper-base.en"
        )
    tokenizer = Vocabulary.from_pretrained(demo_folder())
    return tokenizer if vocab_size == MULTILINGUAL else tokenizer.with_cantonese()


def _build(
    path: Path,
    config: WhisperConfig,
    tensors: Mapping[str, StoredTensor],
    device: torch.device,
    dtype: torch.dtype | None,
) -> WhisperForConditionalGeneration:
    """Build the network to infer with, naming the checkpoint if its tensors do not fit."""
    try:
        model, _ = loading.build(WhisperForConditionalGeneration, config, tensors, device, dtype)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return model.requires_grad_(requires_grad=False)
