"""whisper_streaming (ufal/whisper_streaming): LocalAgreement-2 over faster-whisper, with its defaults."""

from __future__ import annotations

import argparse
import io
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.emission import Run
from benchmarks.peers.absent import find, loading, revision
from benchmarks.peers.calls import Calls
from benchmarks.peers.chunked import ChunkLoop
from benchmarks.peers.silero import silero
from benchmarks.peers.weights import write_ctranslate2
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE

NAME = "whisper_streaming"
PRECISION = "int8"
"""What the program's own comments say for a CPU."""


class LocalAgreement:
    """One stream after another through `OnlineASRProcessor`.

    folder: a clone of ufal/whisper_streaming. work: where the converted weights go.
    vac: with the program's voice activity controller, in its own pieces of 0.04 s.
    model: whose weights, as `checkpoint_folder` takes it. Raises NotMeasured if it cannot run here.
    """

    def __init__(
        self,
        folder: Path | None,
        work: Path,
        *,
        vac: bool = False,
        finish: bool = False,
        precision: str = PRECISION,
        model: str = "demo",
    ) -> None:
        self.name = f"{NAME}{' + VAC' if vac else ''}{' + finish()' if finish else ''}"
        program = find(self.name, "whisper_online", folder)
        with loading(self.name):
            options = _defaults(program)
            asr = _load(program, write_ctranslate2(work, model), precision)
            online = _processor(program, asr, options, self.name, vac=vac)
            asr.transcribe(np.zeros(SAMPLE_RATE, np.float32))  # warm, as its simulation does it
        self._updates = Calls(asr, "transcribe")
        chunk = options.vac_chunk_size if vac else options.min_chunk_size
        self._loop = ChunkLoop(self.name, online, lambda answer: str(answer[2]), chunk, finish)
        self.settings = ", ".join(
            (
                *revision(folder),
                f"LocalAgreement-2, faster-whisper {version('faster-whisper')} {precision}",
                f"chunks of {options.min_chunk_size:g} s, beam 5",
                f"trimming {options.buffer_trimming} {options.buffer_trimming_sec:g} s",
                "VAC (Silero, 0.5 s of silence end an utterance)" if vac else "no VAD",
                "finish() called" if finish else "no finish(), as its server",
            )
        )

    def run(self, speech: Speech) -> Run:
        """Hear one stream from its beginning to its end. Raises NotMeasured if the program fails."""
        before = self._updates.number
        emissions, clock = self._loop.hear(speech)
        return Run(tuple(emissions), clock.busy, self._updates.number - before)


class _Silent(io.TextIOBase):
    """Where the program's log goes."""

    def write(self, text: str) -> int:
        return len(text)


def _defaults(program: Any) -> argparse.Namespace:
    """Ask the program for its own defaults."""
    parser = argparse.ArgumentParser()
    program.add_shared_args(parser)
    return parser.parse_args([])


def _load(program: Any, weights: Path, precision: str) -> Any:
    """Load the weights on the CPU, which the program's own loader cannot."""
    whisper = import_module("faster_whisper").WhisperModel

    def load_model(_asr: object, _size: object, _cache: object, folder: str) -> Any:
        return whisper(folder, device="cpu", compute_type=precision, cpu_threads=1)

    with patch.object(program.FasterWhisperASR, "load_model", load_model):
        return program.FasterWhisperASR("en", model_dir=str(weights))


def _processor(program: Any, asr: Any, options: argparse.Namespace, name: str, *, vac: bool) -> Any:
    settings: dict[str, Any] = {
        "logfile": _Silent(),
        "buffer_trimming": (options.buffer_trimming, options.buffer_trimming_sec),
    }
    if not vac:
        return program.OnlineASRProcessor(asr, None, **settings)
    with silero(name):
        return program.VACOnlineASRProcessor(options.min_chunk_size, asr, None, **settings)
