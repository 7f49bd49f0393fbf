"""The recognizer of this repository as one of the engines."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engines_work import Work, drafted
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest

UPDATE = SAMPLE_RATE // 2
"""Samples of new audio in an update."""


class OurEngine:
    """`WhisperRecognizer` as the daemon has it: features, encoder, draft, words with times, guards."""

    def __init__(self, folder: Path, threads: int, precision: str, context: str) -> None:
        """context: full or dynamic."""
        self._recognizer = WhisperRecognizer.load(str(folder), "cpu", precision, threads, context, offline=True)
        self.passes = 0
        """Decoder passes of the last update."""
        self.accepted = 0.0
        """Share of the last draft that was accepted."""

    def hear_before(self, work: Work) -> None:
        """Hear the window as it was half a second ago: a stream's features are kept."""
        self._recognizer.forget("benchmark")
        self._recognizer.transcribe([DecodeRequest("benchmark", 0, work.audio[:-UPDATE], language="en")])

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        request = DecodeRequest("benchmark", 0, work.audio, draft=drafted(work), language="en")
        (hypothesis,) = self._recognizer.transcribe([request])
        statistics = hypothesis.statistics
        self.passes = statistics.passes
        self.accepted = statistics.accepted_tokens / max(1, statistics.draft_tokens)
        return "".join(word.text for word in hypothesis.words)
