"""Folders with a small tokenizer, in the layouts that checkpoints have."""

import json
from pathlib import Path

from model.text.languages import LANGUAGES
from tests.model.checkpoints import TIMESTAMPS, tiny_tokenizer

SPELLINGS = {"colour": "color", "centre": "center", "organised": "organized", "grey": "gray", "theatre": "theater"}


def specials(languages: int) -> list[str]:
    """Special tokens in the order of their ids, for so many languages."""
    names = ["endoftext", "startoftranscript", *list(LANGUAGES)[:languages], "translate", "transcribe"]
    return [f"<|{name}|>" for name in [*names, "startoflm", "startofprev", "nospeech", "notimestamps"]]


def write_vocabulary(folder: Path, languages: int = 99, *, layout: str = "merges", **settings: object) -> Path:
    """Write 300 pieces, special tokens and timestamps, as one of three layouts.

    "merges": vocab.json, merges.txt and the added tokens in tokenizer_config.json; "older": these in
    added_tokens.json and special_tokens_map.json; "unified": tokenizer.json. All with normalizer.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = json.loads(tiny_tokenizer().to_str())
    vocabulary = spec["model"]["vocab"] | {"<|endoftext|>": len(spec["model"]["vocab"])}
    names = specials(languages)
    first = vocabulary["<|endoftext|>"]
    added = {
        first + at: {"content": name, "special": name in names, "normalized": False, "lstrip": False, "rstrip": False,
                     "single_word": False}
        for at, name in enumerate([*names, *TIMESTAMPS])
    }  # fmt: skip
    config = {
        "bos_token": names[0], "eos_token": names[0], "unk_token": names[0], "pad_token": names[0],
        "additional_special_tokens": names, "model_max_length": 448, "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor", "errors": "replace",
    } | settings  # fmt: skip
    files: dict[str, object] = {"normalizer.json": SPELLINGS, "tokenizer_config.json": config}
    if layout == "unified":
        tokens = [{"id": at, **token} for at, token in added.items()]
        files["tokenizer.json"] = spec | {"added_tokens": tokens, "model": spec["model"] | {"vocab": vocabulary}}
    else:
        files["vocab.json"] = vocabulary
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    if layout == "merges":
        config["added_tokens_decoder"] = {str(at): token for at, token in added.items()}
    if layout == "older":
        files["special_tokens_map.json"] = {name: config.pop(name) for name in list(config) if "_token" in name}
        files["added_tokens.json"] = {token["content"]: at for at, token in added.items() if at > first}
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))
    return folder
