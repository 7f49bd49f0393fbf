"""What parent and child say to each other: msgpack, one tagged union each way, framed as in `framing.py`."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import Struct

from model.types import DecodeRequest, Hypothesis, ModelCard
from streamer.config import ModelConfig
from streamer.worker.causes import Cause

MOST_BYTES: Final = 64 * 2**20
"""Of one message; a batch of 1,024 windows full of words is less."""


class Start(Struct, tag="start", frozen=True):
    """The first message to a child: what to load."""

    model: ModelConfig
    log_level: str
    generation: int
    """1 for the first child of this daemon, 2 for the one after it …"""


class Work(Struct, tag="work", frozen=True):
    """A batch. The samples of its requests lie in the block."""

    id: int
    requests: tuple[DecodeRequest, ...]


class Forget(Struct, tag="forget", frozen=True):
    """A stream has ended."""

    stream: str


class Ready(Struct, tag="ready", frozen=True):
    """The model is loaded and warm."""

    card: ModelCard
    notice: str
    """What the operator should know of the model."""


class Refused(Struct, tag="refused", frozen=True):
    """The model cannot be had; the child ends."""

    message: str
    configuration: bool
    """Whether a setting is to blame."""


class Answer(Struct, tag="answer", frozen=True):
    """What was heard in a batch."""

    id: int
    hypotheses: tuple[Hypothesis, ...]
    steps: dict[str, int]
    """`step_counts` of the recognizer; empty if it has none."""


class Failure(Struct, tag="failure", frozen=True):
    """The recognizer raised; the child is well."""

    id: int
    message: str
    traceback: str


class Farewell(Struct, tag="farewell", frozen=True):
    """The child ends because it cannot go on."""

    cause: Cause
    message: str
    traceback: str


class Beat(Struct, tag="beat", frozen=True):
    """A sign of life."""


class LogLine(Struct, tag="log", frozen=True):
    """What the child has to say to whoever reads logs."""

    logger: str
    level: int
    created: float
    message: str
    fields: dict[str, Any]
    traceback: str


ToChild: TypeAlias = Start | Work | Forget
ToParent: TypeAlias = Ready | Refused | Answer | Failure | Farewell | Beat | LogLine
