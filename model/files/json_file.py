"""The JSON files of a checkpoint: each holds one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model.errors import ModelError


def read_json(path: Path) -> dict[str, Any]:
    """Return a file's object. Raises ModelError, with the file's name, if it cannot be read or holds none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(values).__name__}")
    return values
