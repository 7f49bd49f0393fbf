"""The recognizer's process, with faults: its arguments before those of the parent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.worker.host import main
from streamer.worker.messages import Start
from tests.faulty.faults import Fault, FaultyRecognizer

ROOT = Path(__file__).parents[2]


def command(faults: Sequence[str] = ()) -> list[str]:
    """Return the command line of a child with these faults, from wherever it is started."""
    for fault in faults:
        Fault.parse(fault)
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.faulty.child import run; run()"
    return [sys.executable, "-c", program, *faults]


def run() -> None:
    """Be the child."""
    faults = [Fault.parse(text) for text in sys.argv[1:-4]]

    def make(start: Start) -> Recognizer:
        return FaultyRecognizer(faults, start.generation)

    main(make)


class Echo(FaultyRecognizer):
    """Hears nothing, at once: what is left is the way there and back."""

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request with no words."""
        return [Hypothesis(request.start, request.end, (), "en", final=request.final) for request in batch]


def echo() -> None:
    """Be a child that hears nothing."""
    main(lambda start: Echo((), start.generation))
