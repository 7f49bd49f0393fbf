"""Who takes part, and how each is made in its own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from benchmarks.engines_ours import OurEngine
from benchmarks.engines_peers import CTranslate2, FasterWhisper, Transformers, WhisperCpp
from benchmarks.engines_work import Work

Engine = Callable[[Work], str]
ACCEPTANCES = (None, 0.0, 0.5, 0.6, 0.76, 0.9, 1.0)
GATED = (0.6, 0.9)


class Table(StrEnum):
    """Where a contestant stands."""

    USERS = "as users get it"
    SAME = "same work"


class Kind(StrEnum):
    """Which engine it is."""

    OURS = "streamer"
    FASTER_WHISPER = "faster-whisper"
    CTRANSLATE2 = "CTranslate2"
    WHISPER_CPP = "whisper.cpp"
    TRANSFORMERS = "transformers"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One engine with its settings."""

    kind: Kind
    precision: str
    table: Table
    context: str = "full"
    acceptances: tuple[float | None, ...] = (None,)
    """Drafts that it is given."""
    reuse: bool = False
    """Whether ours leaves positions as the update before had them."""

    @property
    def name(self) -> str:
        """As it is written in tables."""
        return f"{self.kind} {self.precision}{', reuse' if self.reuse else ''}"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the layouts of one checkpoint are."""

    ours: Path
    ctranslate2: Path
    ggml: Path


CONTESTANTS = (
    Contestant(Kind.OURS, "int8", Table.SAME, "dynamic", ACCEPTANCES),
    Contestant(Kind.OURS, "float32", Table.SAME, "dynamic", (None, 0.9)),
    Contestant(Kind.CTRANSLATE2, "int8", Table.SAME, "dynamic"),
    Contestant(Kind.CTRANSLATE2, "float32", Table.SAME, "dynamic"),
    Contestant(Kind.WHISPER_CPP, "q8_0", Table.SAME, "dynamic"),
    Contestant(Kind.OURS, "int8", Table.USERS, "full", (None, 0.6, 0.9)),
    Contestant(Kind.OURS, "int8", Table.USERS, "dynamic", GATED, reuse=True),
    Contestant(Kind.OURS, "int8", Table.USERS, "full", GATED, reuse=True),
    Contestant(Kind.FASTER_WHISPER, "int8", Table.USERS),
    Contestant(Kind.FASTER_WHISPER, "float32", Table.USERS),
    Contestant(Kind.WHISPER_CPP, "q8_0", Table.USERS),
    Contestant(Kind.TRANSFORMERS, "float32", Table.USERS),
)


def make(contestant: Contestant, folders: Folders, threads: int) -> Engine:
    """Load an engine. Raises what its package raises, ImportError where it is not installed."""
    match contestant.kind:
        case Kind.OURS:
            return OurEngine(folders.ours, threads, contestant.precision, contestant.context, reuse=contestant.reuse)
        case Kind.FASTER_WHISPER:
            return FasterWhisper(folders.ctranslate2, threads, contestant.precision)
        case Kind.CTRANSLATE2:
            return CTranslate2(folders.ctranslate2, threads, contestant.precision)
        case Kind.WHISPER_CPP:
            return WhisperCpp(folders.ggml, threads, matched=contestant.table is Table.SAME)
        case Kind.TRANSFORMERS:
            return Transformers(folders.ours, threads)


def versions() -> str:
    """Name the versions of what takes part."""
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


PACKAGES = ("torch", "faster-whisper", "ctranslate2", "pywhispercpp", "transformers")


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return "(not installed)"
