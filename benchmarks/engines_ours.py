"""The recognizer of this repository as one of the engines."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engines_work import Work, drafted
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Samples

UPDATE = SAMPLE_RATE // 2
"""Samples of new audio in an update."""


class OurEngine:
    """`WhisperRecognizer` as the daemon has it: features, encoder, draft, words with times, guards."""

    def __init__(self, folder: Path, threads: int, precision: str, context: str, *, reuse: bool = False) -> None:
        """context: full or dynamic; reuse: whether positions of the update before are used again."""
        self._recognizer = WhisperRecognizer.load(
            str(folder), "cpu", precision, threads, context, encoder_reuse="on" if reuse else "off", offline=True
        )
        self.passes = 0
        """Decoder passes of the last update."""
        self.accepted = 0.0
        """Share of the last draft that was accepted."""

    def hear_before(self, work: Work) -> None:
        """Hear the window as it was half a second ago: of a stream, features and positions are kept."""
        self._recognizer.forget("benchmark")
        before = work.audio[:-UPDATE]
        self._recognizer.transcribe([DecodeRequest("benchmark", 0, before, earlier=ends(before), language="en")])

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        audio = work.audio
        request = DecodeRequest("benchmark", 0, audio, draft=drafted(work), earlier=ends(audio), language="en")
        (hypothesis,) = self._recognizer.transcribe([request])
        statistics = hypothesis.statistics
        self.passes = statistics.passes
        self.accepted = statistics.accepted_tokens / max(1, statistics.draft_tokens)
        return "".join(word.text for word in hypothesis.words)


def ends(audio: Samples) -> tuple[int, ...]:
    """Return where the updates before that of this window ended: every half second, one of them half a second ago."""
    return tuple(range(len(audio) % UPDATE or UPDATE, len(audio), UPDATE))
