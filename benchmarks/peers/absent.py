"""A peer that cannot be measured here, and the reason; and how the code of one that can is found."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


class NotMeasured(Exception):  # noqa: N818 - a result as much as an error: the table shows it as a row
    """A peer that is not there, cannot be loaded or failed. The message is the reason, for the table."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def find(name: str, module: str, folder: Path | None) -> Any:
    """Import a module of a peer from its folder. Raises NotMeasured if there is none or it does not import.

    The folder goes behind all others, so that nothing in it stands in for a module of ours.
    """
    if folder is None:
        raise NotMeasured(name, "not given: no option says where a copy of it lies")
    if not folder.is_dir():
        raise NotMeasured(name, f"{folder} is not a folder")
    if torch.cuda.is_available():
        raise NotMeasured(name, "is compared on the CPU; hide the GPU with CUDA_VISIBLE_DEVICES=''")
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)
    with loading(name):
        return importlib.import_module(module)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Load a peer or a part of it. Raises NotMeasured for whatever goes wrong: another version than ours, say."""
    try:
        yield
    except NotMeasured:
        raise
    except ImportError as error:
        raise NotMeasured(name, f"does not import: {error}") from error
    except Exception as error:
        raise NotMeasured(name, f"does not load: {error!r}") from error


def revision(folder: Path | None) -> tuple[str, ...]:
    """Return the commit of a clone; nothing where there is no clone or no git."""
    if folder is None or not (folder / ".git").exists():
        return ()
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"],  # noqa: S607 - git is where the person has it
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ()
    return (f"commit {found.stdout.strip()}",)
