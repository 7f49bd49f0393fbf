"""Named model inputs: what feature extractor, tokenizer and processor return.

Source: transformers feature_extraction_utils.py, BatchFeature; tokenization_utils_base.py, BatchEncoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from tokenizers import Encoding

TENSORS = ("pt", "np")
"""Kinds of arrays that can be asked for: PyTorch's, NumPy's."""


class BatchFeature(dict[str, Any]):
    """Inputs by name; each is also an attribute, and the whole is what `model(**inputs)` takes."""

    def __getattr__(self, name: str) -> Any:
        """Return the input called `name`."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no input {name!r}, only {', '.join(self)}") from None

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Send every tensor to a device, and give those of floating point a dtype: `to("cuda", torch.float16)`.

        Takes what `torch.Tensor.to` takes; a dtype leaves whole numbers as they are. Changes the batch in place.
        """
        where = {name: kwargs[name] for name in ("device", "non_blocking") if kwargs.get(name) is not None}
        if args and not isinstance(args[0], torch.dtype):
            where["device"] = args[0]
        for name, value in self.items():
            if isinstance(value, torch.Tensor):
                self[name] = value.to(*args, **kwargs) if value.is_floating_point() else value.to(**where)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> Self:
        """Turn lists into tensors ("pt") or arrays ("np"), in place; None leaves them.

        Raises ValueError for another type, and where rows of different lengths make no tensor.
        """
        if tensor_type is None:
            return self
        if tensor_type not in TENSORS:
            raise ValueError(f'return_tensors must be "pt", "np" or None, got {tensor_type!r}')
        for name, value in self.items():
            self[name] = _tensor(name, [value] if prepend_batch_axis else value, tensor_type)
        return self


class BatchEncoding(BatchFeature):
    """Tokens of one text or several, and where in the text each was found."""

    def __init__(
        self, values: dict[str, Any], encodings: Sequence[Encoding] = (), tensor_type: str | None = None
    ) -> None:
        """values: inputs by name; encodings: the tokenizers library's, one a row."""
        super().__init__(values)
        self._encodings = tuple(encodings)
        self.convert_to_tensors(tensor_type)

    def __getitem__(self, key: Any) -> Any:
        """Return the input called `key`, or the encodings of rows `key`; without these, those rows of every input."""
        if isinstance(key, str):
            return super().__getitem__(key)
        if self._encodings:
            return self._encodings[key]
        return {name: value[key] for name, value in self.items()}

    @property
    def encodings(self) -> Sequence[Encoding]:
        """The tokenizers library's encodings, one a row."""
        return self._encodings

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Return the tokens of a row as the vocabulary writes them."""
        return list(self._encodings[batch_index].tokens)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token of a row the number of its piece of text; None for what was added."""
        return list(self._encodings[batch_index].word_ids)

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token of a row whether it is the first text's (0), its pair's (1), or was added (None)."""
        return list(self._encodings[batch_index].sequence_ids)


def _tensor(name: str, value: Any, kind: str) -> Any:
    """Turn nested lists into an array of one kind; empty ones hold int64."""
    if kind == "np":
        return value if isinstance(value, np.ndarray) else _array(value)
    if isinstance(value, torch.Tensor):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be a tensor, its rows differ in length: ask for padding=True") from error
    return torch.as_tensor(array if array.size else array.astype(np.int64))


def _has_axes(row: Any) -> bool:
    """Say whether a row is one, and not a number."""
    return isinstance(row, (list, tuple)) or (isinstance(row, np.ndarray) and row.ndim > 0)


def _array(value: Any) -> Any:
    """Turn nested lists into an array; rows of different lengths make an array of arrays."""
    if isinstance(value, (list, tuple)) and value and _has_axes(value[0]):
        rows = [np.asarray(row) for row in value]
        if len({len(row) for row in rows}) > 1:
            ragged = np.empty(len(rows), dtype=object)
            ragged[:] = rows
            return ragged
    array = np.asarray(value)
    return array if array.size else array.astype(np.int64)
