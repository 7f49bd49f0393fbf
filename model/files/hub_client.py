"""The hub, and its cache on this machine. Its library is slow to import, and a model in a folder needs none of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.errors import CacheNotFound, GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from model.errors import ModelError
from model.files.hub import Source

REACH_TIMEOUT = 5.0
"""Seconds until a hub that does not answer counts as out of reach."""

METADATA = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json",
    "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json",
    "normalizer.json",
)  # fmt: skip
WEIGHTS = (
    (r"model(-\d+-of-\d+)?\.safetensors", "model.safetensors.index.json"),
    (r"pytorch_model(-\d+-of-\d+)?\.bin", "pytorch_model.bin.index.json"),
)
"""Kinds of weights, best first: pattern of the parts, and name of their index."""


def find(name: str, *, offline: bool, progress: bool | None, vocabulary: bool) -> Path:
    """Return the folder of a hub model, downloaded if need be and allowed; as `resolve`. Raises ModelError."""
    try:
        folder = cached(name, vocabulary=vocabulary)
        return folder or download(name, offline=offline, progress=progress)
    except HFValidationError as error:
        raise ModelError(f"{name!r} cannot be a hub name: {error}") from error


def cached(name: str, *, vocabulary: bool = True) -> Path | None:
    """Return the folder of a hub model if the local cache holds all of it; asks no network."""
    try:
        folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=["config.json"]))
    except OSError:  # the cache has none: a question answered, not a failure
        return None
    return folder if is_complete(folder, vocabulary=vocabulary) else None


def is_complete(folder: Path, *, vocabulary: bool = True) -> bool:
    """Say whether a folder has configuration, vocabulary (if one is wanted) and every part of the weights."""
    names = {path.name for path in folder.iterdir() if path.is_file()}  # a broken link is no file
    if "config.json" not in names:
        return False
    if vocabulary and "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        return False
    if names & {"model.safetensors", "pytorch_model.bin"}:
        return True
    for _, index in WEIGHTS:
        if index in names:
            parts = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
            return set(parts) <= names
    return False


def download(name: str, *, offline: bool = False, progress: bool | None = None) -> Path:
    """Bring a hub model up to date in the local cache and return its folder; whole files are not fetched again.

    Raises ModelError, within seconds if the hub does not answer, saying what to do instead.
    """
    advice = f"connect once and run `streamer models pull {name}`, or give the path of a folder that holds it"
    if offline:
        raise ModelError(
            f"{name} is not in the cache ({constants.HF_HUB_CACHE}) and the hub may not be asked: {advice}"
        )
    try:
        info = HfApi().model_info(name, timeout=REACH_TIMEOUT)
        wanted = wanted_files(sibling.rfilename for sibling in info.siblings or ())
    except GatedRepoError as error:
        raise ModelError(f"{name} asks for consent: accept it on its page, then log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"{name} is neither a folder here nor a model that the hub shows you") from error
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    except Exception as error:  # its HTTP library's, the system's and its own errors share no base
        raise ModelError(f"{name} is not in the cache and the hub cannot be reached ({error}): {advice}") from error
    show = sys.stderr.isatty() if progress is None else progress
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, tqdm_class=None if show else _NoBar))
    except Exception as error:  # as above
        raise ModelError(f"{name} could not be downloaded ({error}); what has arrived is kept: try again") from error


def find_files(
    name: str, needed: Iterable[str], *, local_files_only: bool, force_download: bool, subfolder: str, **options: Any
) -> Path:
    """Return the folder of a hub model's configuration and vocabulary; as `resolve_files`. Raises ModelError."""
    options["allow_patterns"] = [f"{subfolder}/{file}" if subfolder else file for file in METADATA]
    if not force_download:
        folder: Path | None = None
        try:
            folder = Path(snapshot_download(name, local_files_only=True, **options)) / subfolder
        except HFValidationError as error:
            raise ModelError(f"there is no folder {name}, and it cannot be a hub name: {error}") from error
        except OSError:  # the cache has none: a question answered, not a failure
            pass
        if folder and any((folder / file).is_file() for file in needed):
            return folder
    if local_files_only:
        raise ModelError(f"{name} is neither a folder nor in the cache, and the hub may not be asked")
    try:
        return Path(snapshot_download(name, force_download=force_download, **options)) / subfolder
    except RepositoryNotFoundError as error:
        raise ModelError(f"{name} is neither a folder here nor a model that the hub shows you") from error
    except Exception as error:  # its HTTP library's, the system's and its own errors share no base
        raise ModelError(f"{name} is not in the cache and the hub cannot be reached: {error}") from error


def find_file(repository: str, name: str, **options: Any) -> Path:
    """Return the path of a hub repository's file. Raises ModelError if it cannot be had."""
    try:
        return Path(hf_hub_download(repository, name, **options))
    except Exception as error:  # its HTTP library's, the system's and its own errors share no base
        raise ModelError(f"there is no folder {repository} and the hub gave no {name} of that name: {error}") from error


def wanted_files(files: Iterable[str]) -> list[str]:
    """Pick what is needed of a repository's files: safetensors in their stored type if there are any.

    Raises ModelError if there are no weights.
    """
    present = set(files)
    for parts, index in WEIGHTS:
        weights = sorted(file for file in present if re.fullmatch(parts, file))
        if weights:
            whole = [file for file in weights if "-of-" not in file]
            return [*sorted(present & set(METADATA)), *(whole or [*weights, *(present & {index})])]
    raise ModelError("the repository holds neither safetensors nor PyTorch weights")


def cached_models() -> list[Source]:
    """List the complete Whisper models in the local hub cache, by name."""
    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    found = []
    for name in sorted(repository.repo_id for repository in repositories if repository.repo_type == "model"):
        folder = cached(name)
        if folder and json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == "whisper":
            found.append(Source(name, folder))
    return found


class _NoBar(tqdm):
    """Progress that is not shown."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what tqdm takes."""
        super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]  # tqdm is untyped
