"""Feature extractor and tokenizer in one.

Source: transformers processing_whisper.py and processing_utils.py, whose names, files and results these are.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Self

from model.batch import BatchFeature
from model.features import PROCESSOR_FILE, WhisperFeatureExtractor
from model.tokenizer import WhisperTokenizer

TEXT_OPTIONS = frozenset(inspect.signature(WhisperTokenizer.__call__).parameters)
AUDIO_OPTIONS = frozenset(inspect.signature(WhisperFeatureExtractor.__call__).parameters) - {"kwargs"}


class WhisperProcessor:
    """Makes model inputs of audio, labels of text, and text of predicted tokens."""

    def __init__(self, feature_extractor: WhisperFeatureExtractor, tokenizer: WhisperTokenizer) -> None:
        self.feature_extractor = feature_extractor
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read both of a folder or a hub model; needs no weights.

        kwargs: fields of either to set otherwise, such as `language="spanish"`, and `cache_dir`, `token`, `revision`,
        `subfolder`, `force_download`, `local_files_only`. Raises ModelError.
        """
        extractor = WhisperFeatureExtractor.from_pretrained(pretrained_model_name_or_path, **kwargs)
        return cls(extractor, WhisperTokenizer.from_pretrained(pretrained_model_name_or_path, **kwargs))

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False) -> list[str]:
        """Write `processor_config.json` and the tokenizer's files; return the path of the former.

        Raises ValueError for pushing to the hub.
        """
        if push_to_hub:
            raise ValueError("push_to_hub must be False; upload the folder with `hf upload`")
        name = type(self).__name__
        self.tokenizer.other_settings["processor_class"] = name
        self.tokenizer.save_pretrained(save_directory)
        values = {"feature_extractor": self.feature_extractor.to_dict(), "processor_class": name}
        path = Path(save_directory) / PROCESSOR_FILE
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return [str(path)]

    def __call__(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Make inputs of audio, of text, or of both: then the text's tokens are the `labels` beside the features.

        args: the audio, if not given by name, and further arguments of the feature extractor; kwargs: `audio`, `text`,
        and options of feature extractor and tokenizer; those that both have, such as `padding` and `max_length`, go to
        both. Raises TypeError for an option that neither has, ValueError if neither audio nor text is given.
        """
        if unknown := sorted(set(kwargs) - TEXT_OPTIONS - AUDIO_OPTIONS - {"audio", "text"}):
            raise TypeError(f"{unknown[0]} is an option of neither feature extractor nor tokenizer")
        text = kwargs.pop("text", None)
        audio = kwargs.pop("audio", None)
        if args:
            audio, *args = args  # type: ignore[assignment]  # what is left is a list
        if audio is None and text is None:
            raise ValueError("audio or text must be given, got neither")
        for_text = {name: value for name, value in kwargs.items() if name in TEXT_OPTIONS}
        if audio is None:
            return self.tokenizer(text, **for_text)
        inputs = self.feature_extractor(audio, *args, **{k: v for k, v in kwargs.items() if k in AUDIO_OPTIONS})
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **for_text)["input_ids"]
        return inputs

    @property
    def model_input_names(self) -> list[str]:
        """Names of what is made of audio and of text."""
        return [*self.feature_extractor.model_input_names, *self.tokenizer.model_input_names]

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the texts of several rows of tokens: `WhisperTokenizer.batch_decode`."""
        return self.tokenizer.batch_decode(*args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """Return the text of a row of tokens: `WhisperTokenizer.decode`."""
        return self.tokenizer.decode(*args, **kwargs)

    def get_decoder_prompt_ids(
        self, task: str | None = None, language: str | None = None, no_timestamps: bool = True
    ) -> list[tuple[int, int]]:
        """Return the prefix of a transcript as (position, token): `WhisperTokenizer.get_decoder_prompt_ids`."""
        return self.tokenizer.get_decoder_prompt_ids(task=task, language=language, no_timestamps=no_timestamps)

    def get_prompt_ids(self, text: str, return_tensors: str | None = "np") -> Any:
        """Return the tokens of a prompt: `WhisperTokenizer.get_prompt_ids`."""
        return self.tokenizer.get_prompt_ids(text, return_tensors=return_tensors)
