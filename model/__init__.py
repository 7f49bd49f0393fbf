"""Whisper in plain PyTorch, with the names, parameters and results of the reference implementation.

Importing `model` or `model.types` imports no torch: a public name is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.causal import WhisperForCausalLM as WhisperForCausalLM
    from model.classification import WhisperForAudioClassification as WhisperForAudioClassification
    from model.config import ModelError as ModelError
    from model.config import WhisperConfig as WhisperConfig
    from model.features import WhisperFeatureExtractor as AutoFeatureExtractor  # noqa: F401  # a public name
    from model.features import WhisperFeatureExtractor as WhisperFeatureExtractor
    from model.generation_config import GenerationConfig as GenerationConfig
    from model.processor import WhisperProcessor as AutoProcessor  # noqa: F401  # a public name
    from model.processor import WhisperProcessor as WhisperProcessor
    from model.speech_pipeline import pipeline as pipeline
    from model.tokenizer import WhisperTokenizer as WhisperTokenizer
    from model.tokenizer import WhisperTokenizerFast as WhisperTokenizerFast
    from model.whisper import WhisperForConditionalGeneration as WhisperForConditionalGeneration
    from model.whisper import WhisperModel as WhisperModel

_HOMES = {
    "AutoFeatureExtractor": "model.features",
    "AutoProcessor": "model.processor",
    "GenerationConfig": "model.generation_config",
    "ModelError": "model.config",
    "WhisperConfig": "model.config",
    "WhisperFeatureExtractor": "model.features",
    "WhisperForAudioClassification": "model.classification",
    "WhisperForCausalLM": "model.causal",
    "WhisperForConditionalGeneration": "model.whisper",
    "WhisperModel": "model.whisper",
    "WhisperProcessor": "model.processor",
    "WhisperTokenizer": "model.tokenizer",
    "WhisperTokenizerFast": "model.tokenizer",
    "pipeline": "model.speech_pipeline",
}
"""Where each public name is written."""
_MEANS = {"AutoFeatureExtractor": "WhisperFeatureExtractor", "AutoProcessor": "WhisperProcessor"}
"""Names of the reference that choose a class by the checkpoint: here there is one to choose."""

__all__ = tuple(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name from where it is written (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'model' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(importlib.import_module(_HOMES[name]), _MEANS.get(name, name))


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *_HOMES})
