"""Recordings, or features of them, brought to one length.

Source: transformers feature_extraction_sequence_utils.py, `pad`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.text.token_padding import Padding, rounded
from model.types import Samples

Row: TypeAlias = NDArray[np.floating[Any]]
"""Samples (n,), or anything else whose first axis is padded."""


def mono_rows(speech: Any) -> list[Samples]:
    """Take one recording or several apart into rows of samples. Raises ValueError for stereo, or for none."""
    if isinstance(speech, np.ndarray):
        if speech.ndim > 2:
            raise ValueError(f"only mono audio is supported, got an array of {speech.ndim} dimensions")
        several = speech.ndim == 2
    else:
        if len(speech) == 0:
            raise ValueError("no audio was given")
        several = np.ndim(speech[0]) > 0
    rows = [np.asarray(row, dtype=np.float32) for row in (speech if several else [speech])]
    for row in rows:
        if row.ndim != 1:
            raise ValueError(f"only mono audio is supported, got a row of shape {row.shape}")
    return rows


def by_name(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return columns by name; those of rows that came one by one are the first row's."""
    if isinstance(rows, Mapping):
        return {name: list(column) for name, column in rows.items()}
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def single_precision(values: Any) -> NDArray[Any]:
    """Return numbers as an array; where they would be float64, as lists of them are, as float32."""
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def cut_rows(rows: Sequence[Row], length: int, multiple: int | None) -> list[Row]:
    """Cut each row at a length, rounded up to a multiple of `multiple`."""
    return [row[: rounded(length, multiple)] for row in rows]


def fill_rows(
    rows: Sequence[Row], padding: Padding, length: int, multiple: int | None, *, value: float, left: bool
) -> tuple[list[Row], list[NDArray[np.int32]]]:
    """Fill each row up with `value`; return the rows and masks that are 1 where a row has something of its own.

    padding: to the longest row, to `length`, or not; a row that is longer already stays as it is.
    """
    if padding is Padding.LONGEST:
        length = max(len(row) for row in rows)
    goal = 0 if padding is Padding.NONE else rounded(length, multiple)
    filled, masks = [], []
    for row in rows:
        missing = max(0, goal - len(row))
        sides = (missing, 0) if left else (0, missing)
        filled.append(np.pad(row, [sides, *[(0, 0)] * (row.ndim - 1)], constant_values=value))
        masks.append(np.pad(np.ones(len(row), dtype=np.int32), sides))
    return filled, masks


def rectangle(rows: Sequence[Row]) -> Row:
    """Stack rows of one length. Raises ValueError if their lengths differ."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(
            f"rows of {lengths[0]} and {lengths[-1]} make no rectangle: pad to the longest, or truncate at max_length"
        )
    return np.stack(rows)


def standardize(row: Row) -> Row:
    """Give a row zero mean and unit variance; an empty one stays empty."""
    scaled: Row = (row - row.mean()) / np.sqrt(row.var() + 1e-7) if len(row) else row
    return scaled
