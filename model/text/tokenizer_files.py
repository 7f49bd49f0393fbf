"""The files of a tokenizer, read and written as transformers has them.

Source: transformers tokenization_utils_base.py, `_from_pretrained` and `save_pretrained`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from model.config import ModelError
from model.files.hub import OPTIONS, resolve_files
from model.files.json_file import read_json
from model.text.token_table import NAMED_TOKENS
from model.text.vocabulary_files import VocabularyFiles, added_token, pairs

SETTINGS = "tokenizer_config.json"
SPELLINGS = "normalizer.json"

ABOUT_FILES = (
    "tokenizer_class", "init_inputs", "auto_map", "backend", "is_local", "add_bos_token", "add_eos_token",
    "vocab_file", "merges_file", "tokenizer_file", "special_tokens_map_file", "use_fast", "trust_remote_code",
)  # fmt: skip
"""Settings that say how the files came about, not what the tokenizer does."""


def read_files(name: str | Path, changes: Mapping[str, Any]) -> tuple[VocabularyFiles, dict[str, Any]]:
    """Read the vocabulary and the settings of a folder, a `tokenizer.json` or a hub model.

    changes: settings that go before what the files say, and OPTIONS. Raises ModelError.
    """
    options = {option: changes[option] for option in OPTIONS if option in changes}
    path = resolve_files(name, ("tokenizer.json", "vocab.json"), **options)
    if path.is_file():
        vocabulary, settings = VocabularyFiles.from_tokenizer_file(path), {}
    else:
        vocabulary = VocabularyFiles.from_folder(path)
        settings = read_json(path / SETTINGS) if (path / SETTINGS).is_file() else {}
        vocabulary = _with_added_tokens(vocabulary, settings, path)
        if not settings.get("normalizer_file") and (path / SPELLINGS).is_file():
            settings["normalizer_file"] = path / SPELLINGS
    settings = {name: _token(value) for name, value in settings.items() if name not in ABOUT_FILES}
    settings |= {name: value for name, value in changes.items() if name not in {*OPTIONS, *ABOUT_FILES}}
    return vocabulary, settings | {"name_or_path": str(name)}


def _with_added_tokens(vocabulary: VocabularyFiles, settings: dict[str, Any], folder: Path) -> VocabularyFiles:
    """Settle the added tokens: those of the settings, which replace all others, or those of older files."""
    newer = settings.pop("added_tokens_decoder", None)
    try:
        if newer is not None:
            added = {int(token): added_token(values) for token, values in newer.items()}
            return VocabularyFiles(vocabulary.vocabulary, vocabulary.merges, added)
        if (path := folder / "special_tokens_map.json").is_file():
            settings |= read_json(path)
        special = {_text(settings[name]) for name in NAMED_TOKENS if settings.get(name)}
        special |= {_text(token) for token in _extra(settings)}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder}: the added tokens are unreadable: {error!r}") from error
    added = {
        token: AddedToken(**values.__getstate__() | {"special": values.special or values.content in special})
        for token, values in vocabulary.added.items()
    }
    return VocabularyFiles(vocabulary.vocabulary, vocabulary.merges, added)


def _extra(settings: Mapping[str, Any]) -> list[Any]:
    """Return the special tokens that have no name."""
    return list(settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or ())


def _text(token: Any) -> str:
    """Return the content of a token, a string or an object."""
    return str(token["content"]) if isinstance(token, Mapping) else str(token)


def _token(value: Any) -> Any:
    """Turn what JSON says of added tokens into these; leave all else."""
    if isinstance(value, Mapping) and "content" in value:
        return added_token(value, special=True)
    return [_token(item) for item in value] if isinstance(value, list) else value


def gather(vocab: Any, merges: Any, tokenizer_file: str | Path | None) -> VocabularyFiles:
    """Take a vocabulary from data, or from the files that hold it. Raises ModelError, TypeError."""
    if tokenizer_file is not None:
        return VocabularyFiles.from_tokenizer_file(Path(tokenizer_file))
    if isinstance(vocab, (str, Path)):
        if not isinstance(merges, (str, Path)):
            raise TypeError(f"merges must be the path of a merges.txt where vocab is a path, got {merges!r}")
        return VocabularyFiles.from_merges_file(Path(vocab), Path(merges))
    return VocabularyFiles(vocab or {}, pairs(merges or ()))


def save_files(
    folder: Path,
    backend: Tokenizer,
    settings: Mapping[str, Any],
    spellings: Mapping[str, str] | None,
    prefix: str | None = None,
) -> tuple[str, ...]:
    """Write `tokenizer.json`, the settings and, if there are any, the spellings; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_write_json(_named(folder, SETTINGS, prefix), settings)]
    vocabulary = _named(folder, "tokenizer.json", prefix)
    backend.save(str(vocabulary))
    paths.append(vocabulary)
    if spellings is not None:
        paths.append(_write_json(_named(folder, SPELLINGS, prefix), spellings))
    return tuple(map(str, paths))


def save_vocabulary_files(
    folder: Path, backend: Tokenizer, spellings: Mapping[str, str] | None, prefix: str | None = None
) -> tuple[str, str, str]:
    """Write `vocab.json`, `merges.txt` and, if there are any, the spellings; return the three paths.

    Raises ModelError if the folder is none.
    """
    if not folder.is_dir():
        raise ModelError(f"the vocabulary must be saved in a folder, and {folder} is none")
    model = json.loads(backend.to_str())["model"]
    vocabulary = _write_json(_named(folder, "vocab.json", prefix), model["vocab"])
    merges = _named(folder, "merges.txt", prefix)
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    merges.write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")
    listed = _named(folder, SPELLINGS, prefix)
    if spellings is not None:
        _write_json(listed, spellings)
    return str(vocabulary), str(merges), str(listed)


def _named(folder: Path, name: str, prefix: str | None) -> Path:
    """Return the path of a file, with a prefix before its name if there is one."""
    return folder / (f"{prefix}-{name}" if prefix else name)


def _write_json(path: Path, values: Mapping[str, Any]) -> Path:
    """Write an object as transformers does."""
    text = json.dumps(dict(values), indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
