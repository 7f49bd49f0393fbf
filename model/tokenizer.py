"""Whisper's tokenizer as one uses it beside the network: text to labels, predicted tokens to text.

`model.vocabulary` reads the same files for the streaming recognizer, which takes no special tokens from text.
Source: transformers tokenization_whisper.py, whose names, parameters and results these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing

from model.config import ModelError
from model.files.json_file import read_json
from model.text.decoding import TextDecoder
from model.text.encoding import NO_LIMIT, TextEncoder
from model.text.languages import SPACELESS, language_code
from model.text.token_padding import checked_side
from model.text.token_table import NAMED_TOKENS, Token
from model.text.tokenizer_files import gather, read_files, save_files, save_vocabulary_files
from model.text.words import Unit, split_words
from model.types import Task
from model.vocabulary import TIMESTAMPS, token_bytes

END = "<|endoftext|>"
SAVED = (
    "add_prefix_space", "clean_up_tokenization_spaces", "language", "model_input_names", "model_max_length",
    "padding_side", "predict_timestamps", "split_special_tokens", "task", "truncation_side",
)  # fmt: skip
"""Attributes that `tokenizer_config.json` tells of."""


class WhisperTokenizer(TextEncoder, TextDecoder):
    """Vocabulary of a checkpoint with the prefix that its labels start with: language, task, timestamps or none."""

    def __init__(  # noqa: PLR0917  # the order of the reference
        self,
        vocab: Mapping[str, int] | str | Path | None = None,
        merges: Sequence[tuple[str, str]] | str | Path | None = None,
        normalizer_file: str | Path | None = None,
        unk_token: Token | None = END,
        bos_token: Token | None = END,
        eos_token: Token | None = END,
        add_prefix_space: bool = False,
        language: str | None = None,
        task: str | None = None,
        predict_timestamps: bool = False,
        *,
        vocab_file: str | Path | None = None,
        merges_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        added_tokens_decoder: Mapping[int, AddedToken] | None = None,
        extra_special_tokens: Iterable[Token] | None = None,
        **settings: Any,
    ) -> None:
        """Build from a vocabulary, or from the files that hold one.

        vocab, merges: as data or as the paths of `vocab.json` and `merges.txt`; normalizer_file: British spellings;
        add_prefix_space: put a space before a text's first word; language: a name or a code; task: "transcribe" or
        "translate"; predict_timestamps: leave `<|notimestamps|>` out of the prefix; settings: other special tokens
        (`pad_token`, …), `model_max_length`, `padding_side`, `truncation_side`, `clean_up_tokenization_spaces`,
        `split_special_tokens`, `model_input_names`; further ones are kept for `save_pretrained`.
        Raises ValueError for an unknown language or task, ModelError for a file that is no vocabulary.
        """
        files = gather(vocab or vocab_file, merges or merges_file, tokenizer_file)
        backend = files.build(add_prefix_space=add_prefix_space)
        added = files.added if added_tokens_decoder is None else added_tokens_decoder
        backend.add_tokens([token for _, token in sorted(added.items())])
        named = {"bos_token": bos_token, "eos_token": eos_token, "unk_token": unk_token}
        named |= {name: settings.pop(name) for name in NAMED_TOKENS if name in settings}
        super().__init__(backend, named, extra_special_tokens or settings.pop("additional_special_tokens", None) or ())
        self.name_or_path = str(settings.pop("name_or_path", ""))
        self.add_prefix_space = add_prefix_space
        self.model_max_length = int(settings.pop("model_max_length", None) or NO_LIMIT)
        self.padding_side = checked_side("padding_side", settings.pop("padding_side", "right"))
        self.truncation_side = checked_side("truncation_side", settings.pop("truncation_side", "right"))
        self.clean_up_tokenization_spaces = bool(settings.pop("clean_up_tokenization_spaces", False))
        self.split_special_tokens = bool(settings.pop("split_special_tokens", False))
        self.model_input_names = list(settings.pop("model_input_names", type(self).model_input_names))
        self.other_settings = settings
        self.english_spelling_normalizer = read_json(Path(normalizer_file)) if normalizer_file else None
        self._pieces: dict[int, bytes] | None = None
        self.language, self.task, self.predict_timestamps = language and language.lower(), task, predict_timestamps
        self.set_prefix_tokens()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read the tokenizer of a folder, a `tokenizer.json`, or a hub model; needs no weights.

        kwargs: parameters of this class to set otherwise, such as `language="spanish"`, and `cache_dir`, `token`,
        `revision`, `subfolder`, `force_download`, `local_files_only`. Raises ModelError.
        """
        files, settings = read_files(pretrained_model_name_or_path, kwargs)
        try:
            return cls(files.vocabulary, files.merges, added_tokens_decoder=files.added, **settings)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{pretrained_model_name_or_path}: {error}") from error

    def save_pretrained(
        self,
        save_directory: str | Path,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
    ) -> tuple[str, ...]:
        """Write `tokenizer.json`, `tokenizer_config.json` and the spellings, if any; return the paths.

        Raises ValueError for a legacy format (see `save_vocabulary`) and for pushing to the hub.
        """
        if legacy_format or push_to_hub:
            asked = "push_to_hub" if push_to_hub else "legacy_format"
            raise ValueError(f"{asked} must be False; upload the folder with `hf upload`, or use save_vocabulary")
        folder = Path(save_directory)
        return save_files(folder, self._backend, self._settings(), self.english_spelling_normalizer, filename_prefix)

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, str, str]:
        """Write `vocab.json`, `merges.txt` and the spellings, if any; return the three paths. Raises ModelError."""
        spellings = self.english_spelling_normalizer
        return save_vocabulary_files(Path(save_directory), self._backend, spellings, filename_prefix)

    @property
    def prefix_tokens(self) -> list[int]:
        """Tokens before the text of a label. Raises ValueError for a language or task that there is none of."""
        names = ["<|startoftranscript|>"]
        if self.language is not None:
            names.append(self._language_token(self.language))
        if self.task is not None:
            tasks = [task.value for task in Task]
            if self.task not in tasks:
                raise ValueError(f"task must be one of {', '.join(tasks)}, got {self.task!r}")
            names.append(f"<|{self.task}|>")
        if not self.predict_timestamps:
            names.append("<|notimestamps|>")
        return self.convert_tokens_to_ids(names)

    def set_prefix_tokens(
        self, language: str | None = None, task: str | None = None, predict_timestamps: bool | None = None
    ) -> None:
        """Change what labels start with; None leaves it. Raises ValueError for an unknown language or task."""
        before = self.language, self.task, self.predict_timestamps
        self.language = self.language if language is None else language.lower()
        self.task = self.task if task is None else task
        self.predict_timestamps = self.predict_timestamps if predict_timestamps is None else predict_timestamps
        try:
            ids = self.prefix_tokens
        except ValueError:
            self.language, self.task, self.predict_timestamps = before
            raise
        names = self.convert_ids_to_tokens(ids)
        start = " ".join(f"{name}:0" for name in names)
        self._backend.post_processor = TemplateProcessing(
            single=f"{start} $A:0 {self.eos_token}:0",
            pair=f"{start} $A:0 $B:1 {self.eos_token}:1",
            special_tokens=[(self.eos_token, self.eos_token_id), *zip(names, ids, strict=True)],
        )

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Put prefix and end around the tokens of a text."""
        assert self.eos_token_id is not None
        return [*self.prefix_tokens, *token_ids_0, *(token_ids_1 or ()), self.eos_token_id]

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Return 1 for each special token and 0 for each of text.

        already_has_special_tokens: the tokens have their prefix and end, else these are counted as if they had.
        Raises ValueError for a second text beside tokens that have them.
        """
        if not already_has_special_tokens:
            return [1] * len(self.prefix_tokens) + [0] * (len(token_ids_0) + len(token_ids_1 or ())) + [1]
        if token_ids_1 is not None:
            raise ValueError("token_ids_1 must be None where token_ids_0 has its special tokens already")
        special = set(self.all_special_ids)
        return [int(int(token) in special) for token in token_ids_0]

    def get_decoder_prompt_ids(
        self, task: str | None = None, language: str | None = None, no_timestamps: bool = True
    ) -> list[tuple[int, int]]:
        """Return the prefix after `<|startoftranscript|>` as (position, token), and set it as the prefix."""
        self.set_prefix_tokens(task=task, language=language, predict_timestamps=not no_timestamps)
        return list(enumerate(self.prefix_tokens))[1:]

    def get_prompt_ids(self, text: str, return_tensors: str | None = "np") -> Any:
        """Return the tokens of a text that `generate` takes as `prompt_ids`. Raises ValueError for special ones."""
        batch = self("<|startofprev|>", " " + text.strip(), add_special_tokens=False)
        for token in batch["input_ids"][1:]:
            if token >= self.all_special_ids[0]:
                name = self.convert_ids_to_tokens(token)
                raise ValueError(f"a prompt must be text, and {text!r} has the special token {name}")
        return batch.convert_to_tensors(return_tensors)["input_ids"]

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Put tokens behind the vocabulary and return how many it did not have."""
        self._pieces = None
        return super().add_tokens(new_tokens, special_tokens)

    def split_words(self, tokens: Sequence[int], language: str | None = None, *, merge: bool = True) -> list[Unit]:
        """Split tokens into words with their tokens; nothing is lost, the texts join to the decoded whole.

        language: a name or a code, `language` of the tokenizer or English if None; words end at spaces, or at every
        character where the language has none; merge: attach punctuation to its word.
        """
        code = language_code(language or self.language or "en")
        if self._pieces is None:
            size = len(self)
            stamps = ((self.timestamp_begin + i, f"<|{i * 0.02:.2f}|>") for i in range(TIMESTAMPS))
            self._pieces = token_bytes(self._backend, {token: text for token, text in stamps if token >= size})
        assert self.eos_token_id is not None
        pieces = [(token, self._pieces[token]) for token in tokens]
        return split_words(pieces, self.eos_token_id, spaces=code not in SPACELESS, merge=merge)

    def timestamp_ids(self, time_precision: float = 0.02) -> list[int]:
        """Return the ids of the timestamps of a window, one each `time_precision` seconds."""
        return self.convert_tokens_to_ids([f"<|{i * time_precision:.2f}|>" for i in range(TIMESTAMPS)])

    def _language_token(self, language: str) -> str:
        """Return the token of a language. Raises ValueError if there is none."""
        token = f"<|{language_code(language)}|>"
        if self._backend.token_to_id(token) is None:
            raise ValueError(
                f"language must be one the vocabulary has a token for, got {language!r}: it has no {token}"
            )
        return token

    def _settings(self) -> dict[str, Any]:
        """Return what `tokenizer_config.json` says."""
        extra = {"extra_special_tokens": self.extra_special_tokens} if self.extra_special_tokens else {}
        return {
            **self.other_settings,
            **self.special_tokens_map,
            **extra,
            **{name: getattr(self, name) for name in SAVED},
            "tokenizer_class": "WhisperTokenizer",
        }


WhisperTokenizerFast = WhisperTokenizer
"""The same under its older name."""
