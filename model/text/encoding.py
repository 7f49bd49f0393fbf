"""Text to tokens, in batches, padded and cut as asked.

Source: transformers tokenization_utils_base.py (`__call__`, `encode`, `pad`), whose parameters these are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.batch import BatchEncoding
from model.text.rows import Texts, collect, is_batch, pairs
from model.text.token_padding import Padding, pad_rows, rows_of
from model.text.token_table import TokenTable

NO_LIMIT = int(1e30)
"""`model_max_length` of a tokenizer that has none."""
TRUNCATIONS = ("longest_first", "only_first", "only_second")
"""What is cut where text and its pair are too long together."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long rows become."""

    padding: Padding
    truncation: str | None
    """One of TRUNCATIONS, or None to cut nothing."""
    max_length: int | None


class TextEncoder(TokenTable):
    """The half of a tokenizer that makes tokens of text."""

    model_input_names: Sequence[str] = ("input_ids", "attention_mask")
    padding_side = "right"
    truncation_side = "right"
    pad_token_type_id = 0
    model_max_length: int = NO_LIMIT
    split_special_tokens = False

    def __call__(  # noqa: PLR0917  # the order of the reference
        self,
        text: Texts | None = None,
        text_pair: Texts | None = None,
        text_target: Texts | None = None,
        text_pair_target: Texts | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        *,
        max_target_length: int | None = None,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Turn one text or several into `input_ids` and `attention_mask`, lists unless return_tensors names arrays.

        text_target: texts whose tokens become `labels`, beside those of `text` if both are given;
        padding: True or "longest", "max_length", False or "do_not_pad"; truncation: True or "longest_first",
        "only_first", "only_second", False or "do_not_truncate"; max_length: tokens, special ones counted;
        split_special_tokens: take special tokens that are written out in the text for text.
        Raises ValueError for a value that is none of these, or rows that make no rectangle of tensors.
        """
        if text is None and text_target is None:
            raise ValueError("text or text_target must be given, got neither")
        limits = self._limits(padding, truncation, max_length, pad_to_multiple_of, verbose=verbose)
        shown = {
            "token_type_ids": self._wants("token_type_ids", return_token_type_ids),
            "attention_mask": self._wants("attention_mask", return_attention_mask),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens

        def encode(texts: Texts, partners: Texts | None, limits: Limits) -> BatchEncoding:
            several = is_batch(texts, is_split_into_words)
            rows = pairs(texts, partners, several=several)
            self._configure(limits, stride, pad_to_multiple_of, padding_side, split=split)
            found = self._backend.encode_batch(
                rows, add_special_tokens=add_special_tokens, is_pretokenized=is_split_into_words
            )
            self._configure(Limits(Padding.NONE, None, None), 0, None, None, split=self.split_special_tokens)
            return collect(found, shown, several=several, overflow=return_overflowing_tokens, kind=return_tensors)

        if text_target is None:
            assert text is not None
            return encode(text, text_pair, limits)
        target_limits = Limits(limits.padding, limits.truncation, max_target_length or limits.max_length)
        targets = encode(text_target, text_pair_target, target_limits)
        if text is None:
            return targets
        batch = encode(text, text_pair, limits)
        batch["labels"] = targets["input_ids"]
        return batch

    def encode(  # noqa: PLR0917  # the order of the reference
        self,
        text: Texts,
        text_pair: Texts | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the ids of a text; takes what calling the tokenizer takes."""
        options: dict[str, Any] = {"padding": padding, "truncation": truncation, "max_length": max_length}
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options, **kwargs)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """Return the tokens of a text as the vocabulary writes them."""
        return self(text, pair, add_special_tokens=add_special_tokens, **kwargs).tokens()

    def pad(  # noqa: PLR0917  # the order of the reference
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Bring encoded rows to one length; for rows that were encoded one by one, as by a data loader.

        encoded_inputs: inputs by name, of one row or several, or a list of rows. Options as in calling the tokenizer.
        Raises ValueError where `input_ids` are missing.
        """
        limits = self._limits(padding, None, max_length, None, verbose=verbose)
        rows, several = rows_of(encoded_inputs, self.model_input_names[0])
        fill = {"input_ids": self.pad_token_id, "attention_mask": 0, "special_tokens_mask": 1}
        if self._wants("attention_mask", return_attention_mask):
            for row in rows:
                row.setdefault("attention_mask", [1] * len(row["input_ids"]))
        padded = pad_rows(
            rows,
            fill | {"token_type_ids": self.pad_token_type_id},
            limits.padding,
            length=limits.max_length,
            multiple=pad_to_multiple_of,
            left=(padding_side or self.padding_side) == "left",
        )
        names = padded[0] if padded else {}
        columns = {name: [row[name] for row in padded] for name in names}
        return BatchEncoding(columns if several else padded[0], tensor_type=return_tensors)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens are put around a text, or a text and its pair."""
        return int(self._backend.num_special_tokens_to_add(pair))

    def _wants(self, name: str, asked: bool | None) -> bool:
        """Say whether an input is returned: as asked, else if the model takes it."""
        return name in self.model_input_names if asked is None else asked

    def _limits(
        self,
        padding: bool | str,
        truncation: bool | str | None,
        max_length: int | None,
        multiple: int | None,
        *,
        verbose: bool,
    ) -> Limits:
        """Settle how rows are padded and cut. Raises ValueError for what is not allowed."""
        pad = Padding.of(padding)
        if max_length is not None and padding is False and truncation is None:
            truncation = True
        cut = TRUNCATIONS[0] if truncation is True else truncation or None
        cut = None if cut == "do_not_truncate" else cut
        if cut is not None and cut not in TRUNCATIONS:
            raise ValueError(f"truncation must be True, False or one of {', '.join(TRUNCATIONS)}, got {truncation!r}")
        if padding is True and max_length is not None and cut is None and verbose:
            warnings.warn(
                "max_length is ignored: padding=True pads to the longest row, and nothing is cut", stacklevel=3
            )
        if max_length is None:
            limited = self.model_max_length < NO_LIMIT
            if pad is Padding.MAX_LENGTH:
                pad = Padding.MAX_LENGTH if limited else Padding.NONE
            cut = cut if limited else None
            if limited and (pad is Padding.MAX_LENGTH or cut):
                max_length = self.model_max_length
        if pad is not Padding.NONE and self.pad_token_id is None:
            raise ValueError("padding needs a padding token, and pad_token is None: set pad_token = eos_token")
        if cut and pad is not Padding.NONE and multiple and max_length and max_length % multiple:
            raise ValueError(f"max_length {max_length} must be a multiple of pad_to_multiple_of, got {multiple}")
        return Limits(pad, cut, max_length)

    def _configure(self, limits: Limits, stride: int, multiple: int | None, side: str | None, *, split: bool) -> None:
        """Set up the backend for one call."""
        self._backend.encode_special_tokens = split
        if limits.truncation is None:
            self._backend.no_truncation()
        else:
            self._backend.enable_truncation(
                limits.max_length, stride=stride, strategy=limits.truncation, direction=self.truncation_side
            )
        if limits.padding is Padding.NONE:
            self._backend.no_padding()
        else:
            self._backend.enable_padding(
                direction=side or self.padding_side,
                pad_id=self.pad_token_id,
                pad_type_id=self.pad_token_type_id,
                pad_token=self.pad_token,
                length=limits.max_length if limits.padding is Padding.MAX_LENGTH else None,
                pad_to_multiple_of=multiple,
            )
