"""The numbers that determine a Whisper network, as `config.json` names them."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from model.config_rules import NULLABLE, check, checked
from model.errors import ModelError
from model.files.hub import resolve
from model.files.json_file import read_json

__all__ = ("ModelError", "WhisperConfig")


@dataclass(init=False)
class WhisperConfig:
    """Architecture of a Whisper network; field names and defaults are those of transformers' `WhisperConfig`.

    Takes any field by name, and any other name too, which is kept in `extra` and read as an attribute. A field may be
    set later; those that shape the network are read when it is built. Source: `../shared/seeds` WhisperConfig; Radford
    et al. 2022, table 1 for the released sizes. Raises ModelError for a value that cannot be, by name.
    """

    model_type: ClassVar[str] = "whisper"
    attribute_map: ClassVar[Mapping[str, str]] = {
        "num_key_value_heads": "encoder_attention_heads",
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
        "torch_dtype": "dtype",
        "_attn_implementation": "attn_implementation",
        "_name_or_path": "name_or_path",
    }
    """Other names of fields."""

    vocab_size: int = 51865
    num_mel_bins: int = 80
    """Mel bands of the input: 80, or 128 for large-v3."""
    encoder_layers: int = 4
    encoder_attention_heads: int = 6
    decoder_layers: int = 4
    decoder_attention_heads: int = 6
    decoder_ffn_dim: int = 1536
    encoder_ffn_dim: int = 1536
    encoder_layerdrop: float = 0.0
    """Probability that a layer is left out of a training pass (Fan et al. 2019)."""
    decoder_layerdrop: float = 0.0
    decoder_start_token_id: int = 50257
    use_cache: bool = True
    is_encoder_decoder: bool = True
    activation_function: str = "gelu"
    d_model: int = 384
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    scale_embedding: bool = False
    """Without effect, as in the reference, whose decoder never multiplies by the scale it computes."""
    max_source_positions: int = 1500
    """Encoder positions of 20 ms: 1500 = 30 s."""
    max_target_positions: int = 448
    """Decoder positions (tokens)."""
    pad_token_id: int | None = 50256
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = field(default_factory=lambda: [220, 50256])
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = 256
    apply_spec_augment: bool = False
    """Mask features in training (Park et al. 2019), by the six numbers below."""
    mask_time_prob: float = 0.05
    mask_time_length: int = 10
    mask_time_min_masks: int = 2
    mask_feature_prob: float = 0.0
    mask_feature_length: int = 10
    mask_feature_min_masks: int = 0
    median_filter_width: int = 7
    tie_word_embeddings: bool = True

    architectures: list[str] | None = None
    """Class that the weights beside the file were saved from."""
    dtype: Any = None
    """torch.dtype of those weights; a name is taken too."""
    return_dict: bool = True
    output_hidden_states: bool = False
    output_attentions: bool = False
    chunk_size_feed_forward: int = 0
    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    label2id: dict[str, int] = field(default_factory=lambda: {"LABEL_0": 0, "LABEL_1": 1})
    problem_type: str | None = None
    attn_implementation: str | None = None
    """sdpa or eager; None is sdpa. Not written to files."""
    name_or_path: str = ""
    """Where it was loaded from. Not written to files."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields that this version does not know; they survive a round trip."""

    def __init__(self, **values: Any) -> None:
        """Set what is given and the defaults of the rest."""
        object.__setattr__(self, "extra", dict(values.pop("extra", {})))
        for each in dataclasses.fields(self):
            if each.name != "extra":
                object.__setattr__(self, each.name, _default(each))
        num_labels = values.pop("num_labels", None)
        for name, value in values.items():
            setattr(self, name, value)
        if num_labels is not None and values.get("id2label") is None:
            self.num_labels = num_labels
        if values.get("id2label") is not None and values.get("label2id") is None:
            self.label2id = {name: i for i, name in self.id2label.items()}
        check(self)

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.attribute_map.get(name, name)
        own = type(self).__dataclass_fields__.get(name)
        if own is not None:
            missing = value is None and name not in NULLABLE
            object.__setattr__(self, name, _default(own) if missing else checked(name, value))
        elif isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            self.extra[name] = value

    def __getattr__(self, name: str) -> Any:
        """Read other names of fields, and fields that this version does not know."""
        if name in type(self).attribute_map:
            return getattr(self, type(self).attribute_map[name])
        extra = self.__dict__.get("extra", {})
        if name not in extra:
            raise AttributeError(f"WhisperConfig has no field {name!r}")
        return extra[name]

    @property
    def num_labels(self) -> int:
        """Classes of an audio classifier; setting it names them LABEL_0, LABEL_1 and so on."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self.id2label = {i: f"LABEL_{i}" for i in range(count)}
            self.label2id = {name: i for i, name in self.id2label.items()}

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """Build from the contents of a `config.json`, or of `to_dict`; unknown fields are kept in `extra`.

        Null stands for the default where a field cannot be null. kwargs: fields to set otherwise; those that are none
        are left, and with return_unused_kwargs returned as the second of a pair.
        """
        told = {name: value for name, value in config_dict.items() if name != "model_type"}
        return _changed(cls(**copy.deepcopy(told)), kwargs, return_unused=return_unused_kwargs)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a `config.json`. Raises ModelError if it is missing, not JSON, or not a Whisper's."""
        values = read_json(path)
        if values.get("model_type", "whisper") != "whisper":
            raise ModelError(f"{path}: model_type must be 'whisper', got {values['model_type']!r}")
        config: Self = cls.from_dict(values)
        return config

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        local_files_only: bool = False,
        return_unused_kwargs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Read the configuration of a folder, a hub model or a `config.json`; kwargs as in `from_dict`."""
        name = str(pretrained_model_name_or_path)
        path = Path(name).expanduser()
        if not path.is_file():
            path = resolve(name, offline=local_files_only, vocabulary=False).path / "config.json"
        config = cls.from_file(path)
        config.name_or_path = name
        return _changed(config, kwargs, return_unused=return_unused_kwargs)

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False) -> None:
        """Write `config.json` into a folder, which is made if need be. Raises ValueError for push_to_hub."""
        if push_to_hub:
            raise ValueError("push_to_hub must be False; upload the folder with `hf upload`")
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        (Path(save_directory) / "config.json").write_text(self.to_json_string(), encoding="utf-8")

    def to_json_string(self) -> str:
        """Return what `save_pretrained` writes."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several fields. Raises ModelError as they would when given to the constructor."""
        for name, value in config_dict.items():
            setattr(self, name, value)
        check(self)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Self:  # noqa: ARG002  # a Whisper has one configuration for all its parts
        """Return this configuration."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads: every field and everything in `extra`."""
        left_out = {"extra", "attn_implementation", "name_or_path"}
        own = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name not in left_out}
        own["dtype"] = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        return copy.deepcopy({**self.extra, **own, "model_type": self.model_type})


def _default(own: dataclasses.Field[Any]) -> Any:
    """Return the default of a field."""
    return own.default_factory() if callable(own.default_factory) else own.default


def _changed(config: WhisperConfig, changes: Mapping[str, Any], *, return_unused: bool) -> Any:
    """Set fields; return the configuration, with the changes that are no fields if they are wanted."""
    unused = {name: value for name, value in changes.items() if not hasattr(config, name)}
    config.update({name: value for name, value in changes.items() if name not in unused})
    return (config, unused) if return_unused else config
