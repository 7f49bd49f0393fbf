"""What a checkpoint asks of its decoder: `generation_config.json`, or what the reference does where there is none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from model.config import ModelError, WhisperConfig
from model.tokenizer import WhisperTokenizer

ANNOTATIONS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}",
    "♪♪", "♪♪♪",
)  # fmt: skip
"""What transcribers write about sound that is no speech; suppressed where it is a single token."""
MUSIC = "♩♪♫♬♭♮♯"
"""Suppressed by their first token, whatever follows: these share two of their three bytes."""


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Decoding rules of a checkpoint; field names are those of the file."""

    decoder_start_token_id: int
    eos_token_id: int
    no_timestamps_token_id: int
    prev_sot_token_id: int
    alignment_heads: tuple[tuple[int, int], ...]
    """(layer, head) of the decoder's cross-attention that follow the audio."""
    suppress_tokens: tuple[int, ...] = ()
    """Never produced."""
    begin_suppress_tokens: tuple[int, ...] = ()
    """Not produced first."""
    max_initial_timestamp_index: int | None = 50
    """Latest first timestamp, in steps of 20 ms; None for any."""
    is_multilingual: bool = True
    lang_to_id: Mapping[str, int] = field(default_factory=dict)
    """Token such as `<|en|>` to its id; empty for an English-only model."""
    task_to_id: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the file that this version does not know; they survive a round trip."""

    @classmethod
    def derive(cls, config: WhisperConfig, tokenizer: WhisperTokenizer) -> Self:
        """Say what the reference does with a checkpoint that has no such file.

        Alignment heads: all of the later half of the layers. Suppressed: annotations and the special tokens that no
        transcript holds. Source: openai/whisper model.py and decoding.py.
        """
        t = tokenizer
        layers, heads = range(config.decoder_layers // 2, config.decoder_layers), range(config.decoder_attention_heads)
        never = {t.transcribe, t.translate, t.sot, t.startofprev, t.startoflm, t.nospeech}
        return cls(
            decoder_start_token_id=t.sot,
            eos_token_id=t.eot,
            no_timestamps_token_id=t.notimestamps,
            prev_sot_token_id=t.startofprev,
            alignment_heads=tuple((layer, head) for layer in layers for head in heads),
            suppress_tokens=tuple(sorted(never | _annotation_tokens(t))),
            begin_suppress_tokens=(*t.encode(" "), t.eot),
            is_multilingual=t.multilingual,
            lang_to_id={f"<|{code}|>": token for code, token in t.languages.items()},
            task_to_id={"transcribe": t.transcribe, "translate": t.translate} if t.multilingual else {},
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], config: WhisperConfig, tokenizer: WhisperTokenizer) -> Self:
        """Build from the contents of the file; what it leaves out is derived. Raises ModelError for a wrong value."""
        derived = cls.derive(config, tokenizer)
        names = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        given = {name: value for name, value in values.items() if name in names and value is not None}
        # The file has them null or missing to suppress nothing.
        given = {"suppress_tokens": [], "begin_suppress_tokens": []} | given
        if "alignment_heads" in given:
            given["alignment_heads"] = _pairs(given["alignment_heads"], config)
        for name in ("suppress_tokens", "begin_suppress_tokens"):
            given[name] = _tokens(name, given[name])
        for name in ("decoder_start_token_id", "eos_token_id", "no_timestamps_token_id", "prev_sot_token_id"):
            if name in given:
                given[name] = _token(name, given[name])
        extra = {name: value for name, value in values.items() if name not in names}
        return dataclasses.replace(derived, **given, extra=extra)

    @classmethod
    def from_pretrained(cls, folder: Path, config: WhisperConfig, tokenizer: WhisperTokenizer) -> Self:
        """Read a model folder's `generation_config.json`, or derive one. Raises ModelError if it is unreadable."""
        path = folder / "generation_config.json"
        if not path.exists():
            return cls.derive(config, tokenizer)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise ModelError(f"{path} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ModelError(f"{path} must hold a JSON object, got {type(values).__name__}")
        try:
            return cls.from_dict(values, config, tokenizer)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads: every field and everything in `extra`."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        own["alignment_heads"] = [list(pair) for pair in self.alignment_heads]
        own["suppress_tokens"] = list(self.suppress_tokens)
        own["begin_suppress_tokens"] = list(self.begin_suppress_tokens)
        return {**self.extra, **own, "lang_to_id": dict(self.lang_to_id), "task_to_id": dict(self.task_to_id)}


def _annotation_tokens(tokenizer: WhisperTokenizer) -> set[int]:
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
