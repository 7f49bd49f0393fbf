"""What a checkpoint and its user ask of decoding: `generation_config.json` and the arguments of `generate`."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from model.config import ModelError
from model.files.json_file import read_json
from model.generation import checks
from model.generation.fields import GenerationFields, WhisperFields

logger = logging.getLogger(__name__)

FILE = "generation_config.json"
FIELDS = tuple(GenerationFields.__annotations__)
METADATA = ("_from_model_config", "_commit_hash", "_original_object_hash", "transformers_version")
"""Fields about the file, not about decoding."""


class GenerationConfig(GenerationFields, WhisperFields):
    """Decoding fields, all None but those given; fields it does not know are kept as attributes.

    Source: transformers generation/configuration_utils.py, GenerationConfig.
    """

    def __init__(self, **values: Any) -> None:
        """Set the fields given by name. Raises ValueError for what no generation can honour."""
        from_model_config = values.pop("_from_model_config", None)
        for name in FIELDS:
            setattr(self, name, values.pop(name, None))
        for name in METADATA:
            setattr(self, name, values.pop(name, None))
        self._from_model_config: bool | None = from_model_config
        if not from_model_config:
            for name, value in values.items():
                setattr(self, name, value)
        self.validate()

    def __eq__(self, other: object) -> bool:
        """Say whether both ask for the same."""
        return isinstance(other, GenerationConfig) and self._plain() == other._plain()

    def __hash__(self) -> int:
        """Hash what `==` compares."""
        return hash(json.dumps(self._plain(), sort_keys=True))

    def __repr__(self) -> str:
        """Show what is set."""
        return f"{type(self).__name__} {self.to_json_string(ignore_metadata=True)}"

    def _plain(self) -> dict[str, Any]:
        """Return the fields as JSON has them, without metadata."""
        plain: dict[str, Any] = json.loads(self.to_json_string(use_diff=False, ignore_metadata=True))
        return plain

    @staticmethod
    def defaults() -> dict[str, Any]:
        """Return what a field means that is still None when generation starts."""
        return {
            "max_length": 20, "min_length": 0, "do_sample": False, "use_cache": True, "early_stopping": False,
            "num_beams": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0,
            "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
            "encoder_no_repeat_ngram_size": 0, "num_return_sequences": 1, "output_scores": False,
            "return_dict_in_generate": False, "remove_invalid_values": False, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
            "encoder_repetition_penalty": 1.0, "num_assistant_tokens": 20, "num_assistant_tokens_schedule": "constant",
            "assistant_confidence_threshold": 0.4, "assistant_lookbehind": 10, "target_lookbehind": 10,
            "num_beam_groups": 1, "diversity_penalty": 0.0,
        }  # fmt: skip

    def validate(self, *, strict: bool = False) -> None:
        """Raise ValueError for what cannot be; with `strict` also for what would have no effect."""
        checks.check(self)
        unread = list(checks.without_effect(self))
        if unread and strict:
            raise ValueError("the generation configuration contradicts itself: " + "; ".join(unread))
        for sentence in unread:
            logger.debug("%s", sentence)

    def update(self, defaults_only: bool = False, allow_custom_entries: bool = False, **values: Any) -> dict[str, Any]:
        """Set the fields there are to the values given by name; return those that are no field.

        defaults_only: leave fields alone that are set; allow_custom_entries: let unknown ones become fields.
        """
        unused = {}
        for name, value in values.items():
            known = hasattr(self, name)
            if known and defaults_only and getattr(self, name) is not None:
                unused[name] = value
            elif known or allow_custom_entries:
                setattr(self, name, value)
            else:
                unused[name] = value
        self.validate()
        return unused

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **values: Any) -> Any:
        """Build from the contents of the file, `values` going before them.

        With return_unused_kwargs=True returns a pair: the configuration, and what of `values` is none of its fields
        (never anything, since unknown fields are kept).
        """
        with_unused = values.pop("return_unused_kwargs", False)
        config = cls(**{**config_dict, **values})
        return (config, config.update(**values)) if with_unused else config

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | Path,
        config_file_name: str | None = None,
        *,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        subfolder: str = "",
        **values: Any,
    ) -> Any:
        """Read the file of a folder, or of a repository on the hub; `values` go before what it says.

        Returns as `from_dict`. Raises ModelError if there is no such file or it is no JSON object.
        """
        name = config_file_name or FILE
        path = Path(pretrained_model_name) / subfolder / name
        if not path.is_file():
            if Path(pretrained_model_name).is_dir():
                raise ModelError(f"there is no {name} in {path.parent}")
            from model.files.hub_client import find_file  # noqa: PLC0415  # slow to import

            path = find_file(
                str(pretrained_model_name), name, subfolder=subfolder or None, cache_dir=cache_dir,
                force_download=force_download, local_files_only=local_files_only, token=token, revision=revision,
            )  # fmt: skip
        contents = read_json(path)
        try:
            return (
                cls.from_model_config(contents)
                if values.pop("_from_model_config", False)
                else cls.from_dict(contents, **values)
            )
        except ValueError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_model_config(cls, model_config: Any) -> Self:
        """Take the decoding fields that a model's configuration carries, as older checkpoints do.

        model_config: a configuration with `to_dict`, or the contents of `config.json`.
        """
        contents = dict(model_config) if isinstance(model_config, Mapping) else model_config.to_dict()
        contents = {name: value for name, value in contents.items() if value is not None}
        config = cls(**contents | {"_from_model_config": True})
        if not config.return_dict_in_generate and any(getattr(config, name) for name in checks.EXTRA_OUTPUTS):
            config.return_dict_in_generate = True
        return config

    def save_pretrained(self, save_directory: str | Path, config_file_name: str | None = None) -> None:
        """Write the file into a folder, which is made if need be. Raises ValueError if a field has no effect."""
        self.validate(strict=True)
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (config_file_name or FILE)).write_text(self.to_json_string(), encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return every field, set or not, and what the file said about itself."""
        hidden = {"_commit_hash", "_original_object_hash"}
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in hidden}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what is set; fields of others, and of Whisper, even if they are None."""
        return {name: value for name, value in self.to_dict().items() if value is not None or not _has_default(name)}

    def to_json_string(self, *, use_diff: bool = True, ignore_metadata: bool = False) -> str:
        """Return the file's text: what is set, or every field."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        if ignore_metadata:
            values = {name: value for name, value in values.items() if name not in METADATA}
        if isinstance(self.sequence_bias, Mapping):
            # JSON has no tuples for keys; the reference reads pairs as well.
            values["sequence_bias"] = [[list(tokens), bias] for tokens, bias in self.sequence_bias.items()]
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def _has_default(name: str) -> bool:
    """Say whether every configuration has this field, None if nothing was said."""
    return name in FIELDS or name in METADATA
