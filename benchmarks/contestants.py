"""Who is compared: this program in several settings, and the peers that are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

from benchmarks.emission import System
from benchmarks.virtual import StreamerSystem, Variant
from model.recognizer import WhisperRecognizer
from streamer.config import CommitPolicyName, SessionConfig

INTERVAL_MS = 350
"""Between two updates of ours, for the main comparison."""
SHORT = 0.05
"""Share of the audio for a row whose words are known, or that is there for its cost."""
PROGRAMS = ("whisper-streaming", "simulstreaming", "whisper-live")
"""Peers, as options of the command line name their folders."""


class Contestant(Protocol):
    """One row of the table; small, hashable, and sent to the process that measures it."""

    @property
    def name(self) -> str:
        """Name for the table until the system is built, which has its own."""
        ...

    @property
    def share(self) -> float:
        """Share of the audio that it hears."""
        ...

    def __hash__(self) -> int:
        """Allow that it is built once in a process."""
        ...

    def build(self, work: Path) -> System:
        """Load it. Raises NotMeasured if it cannot be measured here; work: a folder for converted weights."""
        ...


@dataclass(frozen=True, slots=True)
class Ours:
    """This program in one setting."""

    variant: Variant
    model: str
    share: float = 1.0
    among_peers: bool = False
    """Whether it hears what the peers hear, beside a row that hears all."""

    @property
    def name(self) -> str:
        """Name for the table."""
        return f"{self.variant.name}, what peers heard" if self.among_peers else self.variant.name

    def build(self, work: Path) -> System:
        """Load the model, once for each context and with reuse or without."""
        del work
        system = StreamerSystem(self.variant, load(self.model, self.variant.context, reuse=self.variant.reuse))
        system.name = self.name
        return system


@dataclass(frozen=True, slots=True)
class Peer:
    """Another program."""

    name: str
    module: str
    kind: str
    """Name of the class in the module."""
    folder: Path | None
    options: tuple[tuple[str, bool | float], ...] = ()
    share: float = 1.0
    model: str = "demo"

    def build(self, work: Path) -> System:
        """Import it only now: most machines do not have it. Raises NotMeasured."""
        system: System = getattr(import_module(self.module), self.kind)(
            self.folder, work, model=self.model, **dict(self.options)
        )
        return system


@cache
def load(model: str, context: str, *, reuse: bool) -> WhisperRecognizer:
    """Load the model on one thread of the CPU, so that its CPU seconds are also its time."""
    return WhisperRecognizer.load(
        model, "cpu", threads=1, encoder_context=context, encoder_reuse="on" if reuse else "off"
    )


def ours(model: str, peers_share: float = 1.0) -> Iterator[Ours]:
    """Yield our defaults, then every policy, context and draft setting, and the first of them without reuse.

    What costs much and changes no words, or few, hears the short streams. If peers hear less than all of the audio, our
    defaults hear that besides, so that they can be compared.
    """
    settings = SessionConfig()
    default = Variant(settings.commit_policy, interval_ms=settings.update_interval_ms)
    if peers_share < 1:
        yield Ours(default, model, peers_share, among_peers=True)
    if default.interval_ms != INTERVAL_MS:
        yield Ours(default, model)
    for policy in CommitPolicyName:
        yield Ours(Variant(policy, interval_ms=INTERVAL_MS), model)
        yield Ours(Variant(policy, interval_ms=INTERVAL_MS, reuse=False), model)
        for context, drafts in (("dynamic", False), ("full", True), ("full", False)):
            yield Ours(Variant(policy, context, drafts, INTERVAL_MS), model, share=SHORT)
        yield Ours(Variant(policy, "full", interval_ms=INTERVAL_MS, reuse=False), model, share=SHORT)


def peers(folders: Mapping[str, Path | None], share: float = 1.0, model: str = "demo") -> Iterator[Peer]:
    """Yield the peers, each with its defaults first; folders: by the names in PROGRAMS; share: of the audio."""
    modules = ("local_agreement", "align_att", "whisper_live")
    agreement, align_att, live = (f"benchmarks.peers.{name}" for name in modules)
    streaming, simul, whisper_live = (folders.get(name) for name in PROGRAMS)
    for options, heard in (((), share), ((("vac", True),), SHORT)):
        yield Peer("whisper_streaming", agreement, "LocalAgreement", streaming, options, heard, model)
        yield Peer("SimulStreaming", align_att, "AlignAtt", simul, options, heard, model)
    # The demo model gets lost in long windows without timestamps, which is how it decodes (docs/benchmarks.md).
    yield Peer("SimulStreaming", align_att, "AlignAtt", simul, (("vac", True), ("audio", 10.0)), share, model)
    yield Peer("WhisperLive", live, "RepeatRule", whisper_live, (), share, model)
