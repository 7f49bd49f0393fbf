"""Rows of tokens brought to one length.

Source: transformers tokenization_utils_base.py, `pad`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Self, TypeAlias

Row: TypeAlias = dict[str, list[int]]
"""Inputs of one row, by name."""


class Padding(Enum):
    """How far rows are filled up."""

    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    NONE = "do_not_pad"

    @classmethod
    def of(cls, asked: object) -> Self:
        """Take True for longest, False for none, or a name. Raises ValueError."""
        if isinstance(asked, bool):
            return cls("longest" if asked else "do_not_pad")
        try:
            return cls(asked)
        except ValueError:
            names = ", ".join(repr(padding.value) for padding in cls)
            raise ValueError(f"padding must be True, False or one of {names}, got {asked!r}") from None


def rows_of(inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]], main: str) -> tuple[list[Row], bool]:
    """Take inputs apart into rows of plain lists; say whether they were several. Raises ValueError if `main` lacks."""
    if not isinstance(inputs, Mapping):
        rows = [{name: _plain(value) for name, value in row.items()} for row in inputs]
        several = True
    else:
        columns = {name: _plain(value) for name, value in inputs.items()}
        several = bool(columns.get(main)) and isinstance(columns[main][0], list)
        count = len(columns[main]) if several else 1
        rows = [{name: column[at] for name, column in columns.items()} for at in range(count)] if several else [columns]
    if any(main not in row for row in rows):
        raise ValueError(f"rows to pad must have {main}, got {', '.join(rows[0]) or 'nothing'}")
    return rows, several


def pad_rows(
    rows: Sequence[Row],
    fill: Mapping[str, int | None],
    padding: Padding,
    *,
    length: int | None,
    multiple: int | None,
    left: bool,
) -> list[Row]:
    """Fill rows up to the longest or to `length`; a longer one stays as it is.

    fill: what each input is filled with; inputs without one stay as they are. multiple: lengths are rounded up to it.
    """
    if padding is Padding.NONE:
        return [dict(row) for row in rows]
    if padding is Padding.LONGEST or length is None:
        length = max((len(row["input_ids"]) for row in rows), default=0)
    length = rounded(length, multiple)
    padded = []
    for row in rows:
        missing = max(0, length - len(row["input_ids"]))
        filled = dict(row)
        for name in filled.keys() & fill.keys():
            filler = [fill[name]] * missing
            filled[name] = filler + row[name] if left else row[name] + filler  # type: ignore[operator,assignment]
        padded.append(filled)
    return padded


def rounded(length: int, multiple: int | None) -> int:
    """Round a length up to a multiple."""
    return -(-length // multiple) * multiple if multiple else length


def _plain(value: Any) -> Any:
    """Turn arrays and tensors into lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def checked_side(name: str, value: object) -> str:
    """Return a side. Raises ValueError for what is none."""
    if value not in {"left", "right"}:
        raise ValueError(f"{name} must be 'left' or 'right', got {value!r}")
    return str(value)
