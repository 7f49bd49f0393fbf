"""The numbers that determine a Whisper network, as `config.json` names them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class ModelError(Exception):
    """A checkpoint, model name or model file that cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """Architecture of a Whisper network; field names and defaults are those of Hugging Face's `config.json`.

    Source: `../shared/seeds` WhisperConfig; Radford et al. 2022, table 1 for the released sizes.
    Raises ModelError for a value that cannot be, by name.
    """

    vocab_size: int = 51865
    num_mel_bins: int = 80
    """Mel bands of the input: 80, or 128 for large-v3."""
    d_model: int = 384
    encoder_layers: int = 4
    encoder_attention_heads: int = 6
    encoder_ffn_dim: int = 1536
    decoder_layers: int = 4
    decoder_attention_heads: int = 6
    decoder_ffn_dim: int = 1536
    max_source_positions: int = 1500
    """Encoder positions of 20 ms: 1500 = 30 s."""
    max_target_positions: int = 448
    """Decoder positions (tokens)."""
    activation_function: str = "gelu"
    scale_embedding: bool = False
    decoder_start_token_id: int = 50257
    eos_token_id: int = 50256
    pad_token_id: int = 50256
    bos_token_id: int = 50256
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the file that this version does not know; they survive a round trip."""

    def __post_init__(self) -> None:
        """Refuse numbers that no network can have."""
        for name in (
            "vocab_size", "num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim",
            "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_source_positions",
            "max_target_positions",
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"config: {name} must be a whole number of at least 1, got {value!r}")
        for heads in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, heads):
                raise ModelError(
                    f"config: d_model must be divisible by {heads}, got {self.d_model} and {getattr(self, heads)}"
                )
        if self.activation_function != "gelu":
            raise ModelError(f"config: activation_function must be 'gelu', got {self.activation_function!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WhisperConfig:
        """Build from the contents of a `config.json`; unknown fields are kept in `extra`."""
        known = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        # Files written by transformers carry null where they mean "the default".
        own = {k: v for k, v in values.items() if k in known and v is not None}
        return cls(**own, extra={k: v for k, v in values.items() if k not in known})

    @classmethod
    def from_file(cls, path: Path) -> WhisperConfig:
        """Read a `config.json`. Raises ModelError if it is missing, not JSON, or not a Whisper's."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise ModelError(f"{path} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ModelError(f"{path} must hold a JSON object, got {type(values).__name__}")
        if values.get("model_type", "whisper") != "whisper":
            raise ModelError(f"{path}: model_type must be 'whisper', got {values['model_type']!r}")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads: every field and everything in `extra`."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        return {**self.extra, **own}
