"""The decoding rules of one checkpoint, complete: from its `generation_config.json`, the rest derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.config import ModelError, WhisperConfig
from model.files.json_file import read_json
from model.generation_config import FILE, GenerationConfig
from model.vocabulary import Vocabulary

ANNOTATIONS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}",
    "♪♪", "♪♪♪",
)  # fmt: skip
"""What transcribers write about sound that is no speech; suppressed where it is a single token."""
MUSIC = "♩♪♫♬♭♮♯"
"""Suppressed by their first token, whatever follows: these share two of their three bytes."""

TOKEN_FIELDS = ("decoder_start_token_id", "eos_token_id", "no_timestamps_token_id", "prev_sot_token_id")
LIST_FIELDS = ("suppress_tokens", "begin_suppress_tokens")


def derive(config: WhisperConfig, tokenizer: Vocabulary) -> GenerationConfig:
    """Say what the reference does with a checkpoint that has no such file.

    Alignment heads: all of the later half of the layers. Suppressed: annotations and the special tokens that no
    transcript holds. Source: openai/whisper model.py and decoding.py.
    """
    return GenerationConfig(**_derived(config, tokenizer))


def complete(values: Mapping[str, Any], config: WhisperConfig, tokenizer: Vocabulary) -> GenerationConfig:
    """Build from the contents of the file; what it leaves out is derived. Raises ModelError for a wrong value."""
    if values.get("_from_model_config"):
        # Written for a checkpoint without rules of its own: it holds defaults, and those of another vocabulary.
        return derive(config, tokenizer)
    derived = _derived(config, tokenizer)
    given = {name: value for name, value in values.items() if value is not None or name not in derived}
    if given.get("alignment_heads") == []:
        del given["alignment_heads"]  # without any, words have no times
    # The file has them null or missing to suppress nothing.
    given = {name: [] for name in LIST_FIELDS} | given
    if "alignment_heads" in given:
        given["alignment_heads"] = _pairs(given["alignment_heads"], config)
    for name in LIST_FIELDS:
        given[name] = _tokens(name, given[name])
    for name in TOKEN_FIELDS:
        if name in given:
            given[name] = _token(name, given[name])
    try:
        return GenerationConfig(**derived | given)
    except ValueError as error:
        raise ModelError(str(error)) from error


def load(folder: Path, config: WhisperConfig, tokenizer: Vocabulary) -> GenerationConfig:
    """Read a model folder's `generation_config.json`, or derive one. Raises ModelError if it is unreadable."""
    path = folder / FILE
    if not path.exists():
        return derive(config, tokenizer)
    values = read_json(path)
    try:
        return complete(values, config, tokenizer)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _derived(config: WhisperConfig, tokenizer: Vocabulary) -> dict[str, Any]:
    """Return every field that a checkpoint's rules need."""
    t = tokenizer
    layers, heads = range(config.decoder_layers // 2, config.decoder_layers), range(config.decoder_attention_heads)
    # English-only checkpoints have neither, by which it is known that there is nothing to choose and to detect.
    choices: dict[str, Any] = {
        "lang_to_id": {f"<|{code}|>": token for code, token in t.languages.items()},
        "task_to_id": {"transcribe": t.transcribe, "translate": t.translate},
    }
    never = {t.transcribe, t.translate, t.sot, t.startofprev, t.startoflm, t.nospeech}
    return {
        "decoder_start_token_id": t.sot,
        "eos_token_id": t.eot,
        "pad_token_id": t.eot,
        "max_length": config.max_target_positions,
        "no_timestamps_token_id": t.notimestamps,
        "prev_sot_token_id": t.startofprev,
        "alignment_heads": tuple((layer, head) for layer in layers for head in heads),
        "suppress_tokens": tuple(sorted(never | _annotation_tokens(t))),
        "begin_suppress_tokens": (*t.encode(" "), t.eot),
        "max_initial_timestamp_index": 50,
        "is_multilingual": t.multilingual,
        **(choices if t.multilingual else {}),
    }


def _annotation_tokens(tokenizer: Vocabulary) -> set[int]:
    """List the tokens of sound annotations, and a dash or an apostrophe at the start of a word."""
    tokens = {tokenizer.encode(" -")[0], tokenizer.encode(" '")[0]}
    for symbol in (*ANNOTATIONS, *MUSIC):
        for ids in (tokenizer.encode(symbol), tokenizer.encode(" " + symbol)):
            if len(ids) == 1 or symbol in MUSIC:
                tokens.add(ids[0])
    return tokens


def _pairs(value: Any, config: WhisperConfig) -> tuple[tuple[int, int], ...]:
    """Check (layer, head) pairs against the decoder."""
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    pairs: list[tuple[int, int]] = []
    for pair in _iterable("alignment_heads", value):
        match pair:
            case [int(layer), int(head)] if 0 <= layer < layers and 0 <= head < heads:
                pairs.append((layer, head))
            case _:
                raise ModelError(f"alignment_heads must be [layer < {layers}, head < {heads}] pairs, got {pair!r}")
    return tuple(pairs)


def _tokens(name: str, value: Any) -> tuple[int, ...]:
    """Check that these are token ids."""
    tokens = tuple(_iterable(name, value))
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool):
            raise ModelError(f"{name} must be token ids, got {token!r}")
    return tokens


def _token(name: str, value: Any) -> int:
    """Check a token id, which may be a list of one."""
    tokens = _tokens(name, value if isinstance(value, list) else [value])
    if len(tokens) != 1:
        raise ModelError(f"{name} must be one token id, got {value!r}")
    return tokens[0]


def _iterable(name: str, value: Any) -> Iterable[Any]:
    """Refuse what is no list."""
    if not isinstance(value, (list, tuple)):
        raise ModelError(f"{name} must be a list, got {value!r}")
    return value
