"""Load a recognizer or a transcriber: the only place of the daemon that reaches torch."""

from __future__ import annotations

import json
from importlib import import_module, resources
from pathlib import Path
from typing import cast

from model.text.languages import LANGUAGES
from model.types import Recognizer, Transcriber
from streamer.commands.complaints import complain
from streamer.config import ConfigError, ModelConfig
from streamer.protocols.handshake import House
from streamer.recognition.loading import build_recognizer

CANTONESE = "yue"
"""Came with large-v3 only."""


def load_recognizer(config: ModelConfig) -> Recognizer:
    """Load and warm up the model; say on standard error if another one than expected was taken.

    Raises ModelError for a model, a device or a precision that cannot be had.
    """
    recognizer = build_recognizer(config)
    if notice := getattr(recognizer, "notice", ""):
        complain(notice)
    return recognizer


def foreseen(config: ModelConfig) -> House:
    """Say what can be said of a model before it is loaded, from its name and, if that is a folder, what is in it.

    Raises ConfigError for a name that no client can be told: a path that is not UTF-8.
    """
    if not encodable(config.name):
        raise ConfigError(f"model.name must be UTF-8, got {config.name!r}")
    folder = Path(str(resources.files("model")), "demo") if config.name == "demo" else Path(config.name)
    try:
        card = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        languages = tuple(card["streamer"]["languages"])
    except (OSError, ValueError, LookupError, TypeError):
        languages = ("en",) if config.name.removesuffix(".pt").endswith(".en") else tuple(set(LANGUAGES) - {CANTONESE})
    return House(config.name, languages)


def encodable(name: str) -> bool:
    """Tell whether a name can be sent: Python has other bytes of a command line as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def load_transcriber(config: ModelConfig) -> Transcriber:
    """Load a model for whole recordings; say on standard error if another one than expected was taken.

    Raises ModelError for a model, a device or a precision that cannot be had.
    """
    transcriber_class = import_module("model.transcriber").WhisperTranscriber
    transcriber = transcriber_class.load(
        name=config.name,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        offline=config.offline,
    )
    if transcriber.notice:
        complain(transcriber.notice)
    return cast("Transcriber", transcriber)
