"""Where a model name leads: the embedded demo, a folder or file here, the hub's cache, or the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from model.errors import ModelError

DEFAULT_MODEL = "openai/whisper-base"
"""What `auto` means where it can be had."""
OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
"""Arguments of `from_pretrained` that say where files come from."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model that is on the disk."""

    name: str
    path: Path
    """A folder in Hugging Face layout, or an openai .pt file."""
    notice: str = ""
    """What the operator should know, if another model was taken than one might expect."""


def resolve(name: str, *, offline: bool = False, progress: bool | None = None, vocabulary: bool = True) -> Source:
    """Find a model, downloading it if need be and allowed.

    name: demo, auto, a folder, an openai .pt, or a hub name such as openai/whisper-small.
    progress: draw a bar on stderr; None does so if stderr is a terminal. vocabulary: whether it is no use without one.
    Only `auto` falls back; any other name leads to its model or raises ModelError, which says what to do.
    """
    if name == "auto":
        return _resolve_auto(offline=offline, progress=progress)
    if name == "demo":
        return Source("demo", demo_folder())
    path = Path(name).expanduser()
    if name and (path.is_dir() or path.is_file()):
        return Source(name, path)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) or path.suffix in {".pt", ".bin", ".safetensors"}:
        hint = f"; on the hub there is openai/whisper-{name}" if re.fullmatch(r"[a-z0-9.-]+", name) else ""
        raise ModelError(
            f"model must be demo, auto, a folder, an openai .pt or a hub name; there is no {name!r} here{hint}"
        )
    from model.files import hub_client  # noqa: PLC0415  # slow to import

    folder = hub_client.find(name, offline=offline, progress=progress, vocabulary=vocabulary)
    return Source(name, folder)


def _resolve_auto(*, offline: bool, progress: bool | None) -> Source:
    """Take the default model if it can be had, else the demo with a notice."""
    try:
        return resolve(DEFAULT_MODEL, offline=offline, progress=progress)
    except ModelError as error:
        notice = (
            "using the embedded demo model, which knows only a small vocabulary (spoken English digits); "
            f"for real speech take {DEFAULT_MODEL}: {error}"
        )
        return Source("demo", demo_folder(), notice)


def demo_folder() -> Path:
    """Return the folder of the embedded model. Raises ModelError if this installation was built without it."""
    folder = Path(str(resources.files("model"))) / "demo"
    if not (folder / "config.json").is_file():
        raise ModelError(f"this installation has no embedded model: {folder} is incomplete")
    return folder


def resolve_files(
    name: str | Path,
    needed: Iterable[str],
    *,
    local_files_only: bool = False,
    force_download: bool = False,
    subfolder: str = "",
    **options: Any,
) -> Path:
    """Return the folder of a model's configuration and vocabulary, or the file that `name` is; needs no weights.

    needed: files of which one must be there; options: `cache_dir`, `token` and `revision` as the hub's client has them.
    Raises ModelError if there is no such model, or it cannot be had.
    """
    if str(name) == "demo":
        return demo_folder() / subfolder
    path = Path(name).expanduser()
    if path.exists():
        return path / subfolder if subfolder else path
    from model.files import hub_client  # noqa: PLC0415  # slow to import

    return hub_client.find_files(
        str(name),
        needed,
        local_files_only=local_files_only,
        force_download=force_download,
        subfolder=subfolder,
        **options,
    )
