"""Texts put side by side for encoding, and their encodings put together as a batch.

Source: transformers tokenization_utils_tokenizers.py, `_encode_plus`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tokenizers import Encoding

from model.batch import BatchEncoding

Texts: TypeAlias = str | Sequence[str] | Sequence[Sequence[str]]
"""One text, several, or several that are split into words already."""


def is_batch(texts: Any, split_into_words: bool) -> bool:
    """Say whether there are several texts. Raises TypeError for what is no text."""
    several = isinstance(texts, (list, tuple)) and (
        not split_into_words or (len(texts) > 0 and isinstance(texts[0], (list, tuple)))
    )
    for row in texts if several else [texts]:
        words = row if isinstance(row, (list, tuple)) else [row]
        if not all(isinstance(word, (str, list, tuple)) for word in words):
            raise TypeError(f"text must be a string, a list of strings or a list of lists of strings, got {row!r}")
    return several


def pairs(texts: Any, pairs: Any, *, several: bool) -> list[Any]:
    """Put each text beside its pair. Raises ValueError for pairs that do not fit."""
    if not several:
        return [(texts, pairs) if pairs else texts]
    if pairs is None:
        return list(texts)
    if isinstance(pairs, str) or len(pairs) != len(texts):
        raise ValueError(f"text_pair must be a list as long as text, {len(texts)}, got {pairs!r}")
    return list(zip(texts, pairs, strict=True))


def collect(
    found: Sequence[Encoding], shown: Mapping[str, bool], *, several: bool, overflow: bool, kind: str | None
) -> BatchEncoding:
    """Return the rows as one batch, what overflowed as rows of their own behind theirs."""
    rows = [(at, part) for at, row in enumerate(found) for part in (row, *(row.overflowing if overflow else ()))]
    parts = [part for _, part in rows]
    take: dict[str, Callable[[Encoding], Any]] = {
        "token_type_ids": lambda part: part.type_ids,
        "attention_mask": lambda part: part.attention_mask,
        "special_tokens_mask": lambda part: part.special_tokens_mask,
        "offset_mapping": lambda part: part.offsets,
        "length": lambda part: len(part.ids),
    }
    columns: dict[str, Any] = {"input_ids": [part.ids for part in parts]}
    columns |= {name: [take[name](part) for part in parts] for name, wanted in shown.items() if wanted}
    if overflow:
        columns["overflow_to_sample_mapping"] = [at for at, _ in rows]
    if not several and not overflow and kind is None:
        columns = {name: column[0] if isinstance(column[0], list) else column for name, column in columns.items()}
    return BatchEncoding(columns, parts, tensor_type=kind)
