"""Tokens to text, with what a transcript's special and timestamp tokens say.

Source: transformers tokenization_whisper.py and tokenization_utils_base.py, whose names and defaults these are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.text.normalizers import BasicTextNormalizer, EnglishTextNormalizer, default_english
from model.text.token_offsets import annotate, segment_offsets
from model.text.token_table import TokenTable

Ids: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | Sequence[Tensor] | NDArray[np.integer[Any]] | Tensor
"""One token, a row of them, or several rows."""

TIMESTAMP = re.compile(r"<\|(\d+\.\d+)\|>")
LOOSE = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What stands apart from its word in texts of some tokenizers."""


class TextDecoder(TokenTable):
    """The half of a tokenizer that makes text of tokens."""

    clean_up_tokenization_spaces = False
    english_spelling_normalizer: Mapping[str, str] | None = None
    """British spellings and the American ones; None for openai's own list."""

    @property
    def timestamp_begin(self) -> int:
        """Id of `<|0.00|>`, in the vocabulary or not: timestamps come last."""
        stamp = self._backend.token_to_id("<|0.00|>")
        return int(stamp) if stamp is not None else self.all_special_ids[-1] + 1

    def decode(  # noqa: PLR0917  # the order of the reference
        self,
        token_ids: Ids,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_offsets: bool = False,
        time_precision: float = 0.02,
        decode_with_timestamps: bool = False,
        normalize: bool = False,
        basic_normalize: bool = False,
        remove_diacritics: bool = False,
    ) -> Any:
        """Return the text of a row of tokens, or a list of texts for several rows; timestamps are left out.

        skip_special_tokens: leave out special tokens and, of a single row, the prompt before the transcript;
        output_offsets: return `{"text": …, "offsets": …}`, where each offset has the `text` and the `timestamp`,
        (start, end) in seconds, of a segment; time_precision: seconds a timestamp step;
        decode_with_timestamps: write timestamps out, as `<|1.08|>`, and normalize nothing;
        normalize: as `normalize`; basic_normalize: as `basic_normalize`, with `remove_diacritics`.
        """
        ids = _plain(token_ids)
        if isinstance(ids, int):
            ids = [ids]
        read = partial(
            self._read_row,
            skip=skip_special_tokens,
            clean=clean_up_tokenization_spaces,
            offsets=output_offsets,
            precision=time_precision,
            stamps=decode_with_timestamps,
        )
        tidy: Callable[[str], str] = str
        if normalize:
            tidy = self.normalize
        elif basic_normalize:
            tidy = partial(self.basic_normalize, remove_diacritics=remove_diacritics)
        if ids and isinstance(ids[0], list):
            return [read(row, row, tidy=tidy) for row in ids]
        kept = self._without_prompt(ids) if skip_special_tokens else ids
        return read(ids, kept, tidy=tidy)

    def batch_decode(
        self,
        sequences: Ids,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return what `decode` does, always as a list."""
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        return texts if isinstance(texts, list) else [texts]

    def normalize(self, text: str) -> str:
        """Return English text without case, punctuation and fillers, numbers in figures, spelling American."""
        if self.english_spelling_normalizer is None:
            return str(default_english()(text))
        return str(EnglishTextNormalizer(self.english_spelling_normalizer)(text))

    @staticmethod
    def basic_normalize(text: str, remove_diacritics: bool = False) -> str:
        """Return text of any language without case and punctuation; remove_diacritics: letters without marks too."""
        return str(BasicTextNormalizer(remove_diacritics)(text))

    def _read_row(
        self,
        ids: list[int],
        kept: list[int],
        *,
        tidy: Callable[[str], str],
        skip: bool,
        clean: bool | None,
        offsets: bool,
        precision: float,
        stamps: bool,
    ) -> Any:
        """Return the text of one row; ids: all of it; kept: what is text of it."""
        if stamps:
            text = annotate(kept, self.timestamp_begin, precision, partial(self._text, skip=skip))
        else:
            text = TIMESTAMP.sub("", tidy(self._text(kept, skip=skip, clean=clean)))
        if not offsets:
            return text
        segments = segment_offsets(
            ids, self.timestamp_begin, precision, lambda segment: TIMESTAMP.sub("", self._text(segment))
        )
        return {"text": text, "offsets": segments}

    def _text(self, ids: Iterable[int], *, skip: bool = False, clean: bool | None = None) -> str:
        """Return the text of tokens, special ones written out unless skipped."""
        text = str(self._backend.decode(list(ids), skip_special_tokens=skip))
        if self.clean_up_tokenization_spaces if clean is None else clean:
            for loose in LOOSE:
                text = text.replace(loose, loose.strip())
        return text

    def _without_prompt(self, ids: list[int]) -> list[int]:
        """Return the tokens from the start of the transcript on, where a prompt stands before it."""
        if not ids or ids[0] != self.convert_tokens_to_ids("<|startofprev|>"):
            return ids
        start = self.convert_tokens_to_ids("<|startoftranscript|>")
        return ids[ids.index(start) :] if start in ids else []


def _plain(ids: Any) -> Any:
    """Turn tensors and arrays, or lists of them, into numbers in lists."""
    if hasattr(ids, "tolist"):
        return ids.tolist()
    return [_plain(item) for item in ids] if isinstance(ids, (list, tuple)) else int(ids)
